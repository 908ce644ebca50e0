"""What the gate would say to anybody there might be: from an address, or to a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from leadglass.model.action import PERSON_VERBS, Action
from leadglass.model.caller import Archive, CertificateFacts, Peer, Person, Transport
from leadglass.policy import Policy
from leadglass.policy.engine import evaluate, evaluate_admission
from leadglass.policy.model import OUTGOING_VERBS
from leadglass.policy.network import Address


def may_be_admitted(
    policy: Policy, address: Address, transport: Transport, whens: Sequence[datetime]
) -> bool:
    """Whether the gate lets anybody begin from there, at one of these times."""
    if transport is Transport.HTTPS:
        people = [
            Person("p", claims, str(address), transport, mfa=True, reason="r", approved_by="q")
            for claims in policy.groups.values()
        ]
        return any(
            evaluate(policy, person, Action(verb), when).allowed
            for person in people
            for verb in PERSON_VERBS
            for when in whens
        )
    own = CertificateFacts("0" * 64, 7, "CN=d", issued_here=True, device=None, not_after=whens[0])
    known = [
        (title, replace(own, device=device.name)) for device in policy.devices.values() for title in device.ae
    ]
    unknown = ("STRANGER", replace(own, sha256="f" * 64, issued_here=False))  # whom a watched address lets in
    for title, certificate in (*known, unknown):
        shown = certificate if transport is Transport.MTLS else None
        peer = Peer(str(address), transport, "a", shown, title, "NORTH")
        for when in whens:
            admission = evaluate_admission(policy, peer, when)
            if admission.decision.allowed and admission.verbs:
                return True
    return False


def may_be_sent_to(policy: Policy, device: str, whens: Sequence[datetime]) -> bool:
    """Whether the archive may open a connection to a device, at one of these times."""
    return any(
        evaluate(policy, Archive("n"), Action(verb, target=device), when).allowed
        for verb in OUTGOING_VERBS
        for when in whens
    )
