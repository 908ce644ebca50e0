"""Which device a peer proves to be, in a zone already known.

Over mTLS the certificate names the device and the AE title must be one of its own. In plaintext the
device is its pinned address plus its AE title, which anybody on that wire can forge, and is said so.
Whom the policy does not know may be watched at its address, by a line of ``[learning]``: that proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from leadglass.model.caller import CertificateFacts, Peer, Transport
from leadglass.policy.model import Device, Learning, Zone
from leadglass.policy.network import Address
from leadglass.policy.policy import Policy
from leadglass.sitefile import quoted


@dataclass(frozen=True, slots=True)
class Proof:
    """The device proven, or the guard that stopped the peer, and how to make it right.

    ``learning`` is the line by which one that is no device is watched.
    """

    device: Device | None
    detail: str
    guard: str = ""
    fix: str = ""
    learning: Learning | None = None


def prove(policy: Policy, peer: Peer, address: Address, zone: Zone) -> Proof:
    """Identify the device behind ``peer``; every guard on devices is held here."""
    match peer.transport:
        case Transport.MTLS:
            proof = _by_certificate(policy, peer.certificate)
        case Transport.PLAIN:
            proof = _by_pinned_address(policy, peer, address)
        case Transport.HTTPS:
            proof = Proof(None, "DICOM does not come over https", "transport")
        case _:
            assert_never(peer.transport)
    if proof.guard in _STRANGERS:
        return _watched(policy, peer, address, zone) or proof
    if proof.device is None or proof.guard:
        return proof
    return _hold_device(proof, proof.device, peer, address, zone)


def _by_certificate(policy: Policy, certificate: CertificateFacts | None) -> Proof:
    if certificate is None:
        return Proof(None, "no client certificate", "no certificate", "send the device's certificate")
    if certificate.trouble:
        return Proof(None, f"the certificate does not count: {quoted(certificate.trouble)}", "certificate")
    name = certificate.device if certificate.issued_here else None
    if name is not None:
        device = policy.devices.get(name)
        if device is None:
            return Proof(
                None,
                f"the certificate names {quoted(name)}, which the policy does not define",
                "unknown device",
                f"add {quoted(name)} to [devices], with its zone and AE title, if it is one of ours",
            )
        return Proof(device, f"{device.name}, by its certificate")
    device = policy.lookup.by_fingerprint.get(certificate.sha256)
    if device is None:
        return Proof(
            None,
            f"a foreign certificate that no device pins: sha256 {certificate.sha256}",
            "unknown certificate",
            f'if it is one of ours, add fingerprint = "{certificate.sha256}" to its device',
        )
    return Proof(device, f"{device.name}, by its pinned certificate")


def _by_pinned_address(policy: Policy, peer: Peer, address: Address) -> Proof:
    title = peer.calling_ae
    if title is None:
        return _NO_TITLE
    device = policy.lookup.by_pinned.get((address, title))
    if device is not None:
        return Proof(device, f"{device.name}, by its address and AE title, which can be forged")
    return _stranger_in_plaintext(policy, address, title)


def _stranger_in_plaintext(policy: Policy, address: Address, title: str) -> Proof:
    claimed = policy.lookup.by_ae.get(title)
    if claimed is not None:
        pinned = f"is pinned to {claimed.ip}" if claimed.ip else "has no pinned ip"
        detail = f"AE title {quoted(title)} is {claimed.name}'s, which {pinned}, not {address}"
        return replace(_elsewhere(claimed, detail, address), device=None)
    local = next((device for device in policy.devices.values() if device.ip == address), None)
    if local is not None:
        return replace(_foreign_title(local, title), device=None)
    return Proof(
        None,
        f"no device is AE title {quoted(title)} at {address}",
        "unknown device",
        f'if it is one of ours, add it to [devices] with ae = [{quoted(title)}] and ip = "{address}"',
    )


_NO_TITLE = Proof(None, "no calling AE title was given", "AE title")
_STRANGERS = frozenset({"unknown device", "unknown certificate"})  # guards that stop whom nobody knows


def _watched(policy: Policy, peer: Peer, address: Address, zone: Zone) -> Proof | None:
    """A stranger at an address that is being learned; ``None``: it is not, or this is somebody else's.

    Our own certificate must name what is being learned, and an AE title must be no device's.
    """
    learning = policy.lookup.by_watched.get(address)
    if learning is None or learning.zone != zone.name:
        return None
    certificate = peer.certificate
    if certificate is not None and certificate.issued_here and certificate.device != learning.name:
        return None
    if peer.calling_ae is None:
        return replace(_NO_TITLE, learning=learning)
    owner = policy.lookup.by_ae.get(peer.calling_ae)
    if owner is not None:
        detail = f"AE title {quoted(peer.calling_ae)} is {owner.name}'s, and {address} is being learned"
        return Proof(None, detail, "AE title", learning=learning)
    shown = _shown(certificate)
    return _hold_called(Proof(None, f"{learning.subject}, by its address{shown}", learning=learning), peer)


def _shown(certificate: CertificateFacts | None) -> str:
    if certificate is None:
        return ", which can be forged"
    if certificate.issued_here:
        return " and its certificate"
    return f", with a foreign certificate: sha256 {certificate.sha256}"


def _foreign_title(device: Device, title: str) -> Proof:
    return Proof(
        device,
        f"AE title {quoted(title)} is not one of {device.name}'s",
        "AE title",
        f"AE title {quoted(title)} is not one of {device.name}'s: "
        f"add it to devices.{device.name}.ae if the device really uses it",
    )


def _elsewhere(device: Device, detail: str, address: Address) -> Proof:
    fix = f'set devices.{device.name}.ip = "{address}" if the device really is there now'
    return Proof(device, detail, "pinned address", fix)


def _hold_device(proof: Proof, device: Device, peer: Peer, address: Address, zone: Zone) -> Proof:
    if device.revoked is not None:
        return Proof(
            device,
            f"{device.name} is revoked since {device.revoked}",
            "revoked",
            f"if it may return, give it a new certificate and remove devices.{device.name}.revoked",
        )
    if device.zone != zone.name:
        return Proof(
            device,
            f"{device.name} belongs in zone {device.zone}, not in {zone.name}",
            "zone of the device",
            f'connect it in {device.zone}, or set devices.{device.name}.zone = "{zone.name}" if it moved',
        )
    if device.ip is not None and device.ip != address:
        return _elsewhere(device, f"{device.name} is pinned to {device.ip}, not {address}", address)
    if peer.calling_ae is None:
        return replace(_NO_TITLE, device=device)
    if peer.calling_ae not in device.ae:
        return _foreign_title(device, peer.calling_ae)
    return _hold_called(proof, peer)


def _hold_called(proof: Proof, peer: Peer) -> Proof:
    if peer.called_ae_known:
        return proof
    title = quoted(peer.called_ae or "")
    return replace(
        proof,
        detail=f"it calls {title}, which is not the archive's AE title",
        guard="called AE title",
        fix=f"correct the called AE title on the device, or add {title} to ae in leadglass.toml",
    )
