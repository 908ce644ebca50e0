"""Whether anybody at all can be admitted from an address: the policy asked caller by caller."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from leadglass.model.caller import CertificateFacts, Peer, Transport
from leadglass.policy import Policy
from leadglass.policy.engine import evaluate_admission
from leadglass.policy.identify import place
from leadglass.policy.moments import moments
from leadglass.policy.network import Address
from leadglass.sitefile import Listener


def admitted_from(policy: Policy, address: Address, listener: Listener, now: datetime) -> bool:
    """Whether some device, or over https somebody of some grant, gets in from there in the week to come."""
    if listener.transport is Transport.HTTPS:
        zone = place(policy, address, Transport.HTTPS)
        return zone is not None and any(
            zone.name in grant.zones and grant.groups and grant.can for grant in policy.grants.values()
        )
    return any(
        evaluate_admission(policy, peer, moment).decision.allowed
        for moment in moments(policy, now)
        for peer in callers(policy, address, listener, now)
    )


def callers(policy: Policy, address: Address, listener: Listener, now: datetime) -> list[Peer]:
    """Every device of the policy, at that address, with each of its AE titles."""
    certificate = CertificateFacts("0" * 64, 7, "CN=x", issued_here=True, device=None, not_after=now)
    tls = listener.transport is Transport.MTLS
    return [
        Peer(
            str(address),
            listener.transport,
            listener.name,
            replace(certificate, device=device.name) if tls else None,
            ae,
            "NORTH",
        )
        for device in policy.devices.values()
        for ae in device.ae
    ]
