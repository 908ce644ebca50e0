"""Devices: add, list, revoke, renew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from leadglass.admin import device_files, policy_text
from leadglass.admin.desk import Desk, require
from leadglass.admin.policy_files import (
    PolicyDraft,
    PolicyTestsFailed,
    changing_policy,
    draft_policy,
    draft_restriction,
)
from leadglass.identity.authority import IssuedDevice, Registered, pkcs12_of
from leadglass.identity.certificates import DEVICE_LIFETIME, check_device_name, parse_fingerprint
from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit
from leadglass.policy import Device, Expectation, Policy


@dataclass(frozen=True, slots=True)
class NewKey:
    """Make the device a key. ``p12_passphrase`` also packs it as PKCS #12; never from argv."""

    lifetime: timedelta = DEVICE_LIFETIME
    p12_passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """The device keeps its key and asks for a certificate (PKCS #10, PEM)."""

    csr_pem: bytes
    lifetime: timedelta = DEVICE_LIFETIME


@dataclass(frozen=True, slots=True)
class ForeignCertificate:
    """The device has a certificate of its own: its SHA-256, as people write it."""

    sha256: str


Credential = NewKey | SigningRequest | ForeignCertificate


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A device to add; the words of ``[devices]``.

    ``credential=None`` is right where its zone is plaintext only, and is an error elsewhere.
    """

    name: str
    zone: str
    ae: tuple[str, ...]
    credential: Credential | None
    makes: tuple[str, ...] | None = None
    ip: str | None = None
    address: str | None = None
    owner: str | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceAdded:
    """What came of it. ``files`` were written; ``issued`` without its key."""

    device: Device
    policy_line: str
    issued: IssuedDevice | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class DeviceRevoked:
    """``serials`` are new on the CRL; ``removed_tests`` expected the device to be let in."""

    name: str
    serials: tuple[int, ...]
    removed_tests: tuple[str, ...]


class DeviceState(StrEnum):
    """Whether a device can prove who it is."""

    READY = "ready"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NO_CERTIFICATE = "no certificate"


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as ``device list`` shows it.

    ``not_after`` is of its certificate that lasts longest; ``None`` where there is none of ours.
    ``spoofable``: its plaintext zone proves nothing but an address.
    """

    name: str
    zone: str
    transports: tuple[Transport, ...]
    ae: tuple[str, ...]
    makes: tuple[str, ...] | None
    ip: str | None
    address: str | None
    owner: str
    state: DeviceState
    spoofable: bool
    fingerprints: tuple[str, ...]
    not_after: datetime | None
    revoked: date | None


def add_device(
    permit: Permit, desk: Desk, request: DeviceRequest, out_dir: Path | None, *, shown: str | None = None
) -> DeviceAdded:
    """Write the device into the policy, and give it its certificate in ``out_dir``. All or nothing.

    The policy is changed last, so that an interruption leaves nobody let in. ``shown`` is the text of the
    policy that somebody agreed to change: another one is left alone.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: the request is wrong, a file would be overwritten, or the policy is not
            as shown.
        PolicyInvalid, PolicyTestsFailed: the policy refuses it; it is as it was.
    """
    require(permit, Verb.MANAGE)
    entry = entry_of(request)
    with changing_policy(desk.policy_path) as (text, write):
        _check_as_shown(desk, text, shown)
        changed = policy_text.with_device(text, request.name, entry)
        draft = draft_policy(desk.policy_path, changed, desk.authority.clock.now())
        check_credential(draft.policy, request)
        # Certificates of an older device of this name, struck from the policy by hand, must not
        # become this one's.
        desk.authority.revoke_device(request.name)
        with _issued(desk, request.name, request.credential, out_dir) as (issued, files):
            write(draft)
    desk.record(permit, "device.added", request.name, _described(request, issued))
    return DeviceAdded(
        device=draft.policy.devices[request.name],
        policy_line=policy_text.entry_line(request.name, entry),
        issued=replace(issued, key_pem=None) if issued else None,
        files=files,
    )


def revoke_device(permit: Permit, desk: Desk, name: str) -> DeviceRevoked:
    """Shut a device out: its certificates onto the CRL first, then the policy.

    A test of the policy that expects the device to be let in would refuse the change, so it is
    taken out too: a revocation does not wait.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: no such device, or the policy is broken; whatever certificates the
            name has are revoked all the same.
        PolicyTestsFailed: a test refuses the change for another reason; certificates as above.
    """
    require(permit, Verb.MANAGE)
    serials = desk.authority.revoke_device(name)
    done = f"{len(serials)} certificates put on the CRL"
    try:
        with changing_policy(desk.policy_path) as (text, write):
            draft, removed = revocation_draft(desk, text, name)
            write(draft)
    except ConfigurationInvalid:
        if serials:
            desk.record(permit, "device.revoked", name, f"{done}; the policy could not be changed")
        raise
    desk.record(permit, "device.revoked", name, done)
    return DeviceRevoked(name, serials, removed)


def renew_device(
    permit: Permit,
    desk: Desk,
    name: str,
    credential: NewKey | SigningRequest,
    out_dir: Path,
    *,
    shown: str | None = None,
) -> DeviceAdded:
    """Issue another certificate and lift ``revoked``; what is on the CRL stays there.

    A certificate that still counts goes on doing so, that the device can be changed in peace. ``shown`` as in
    ``add_device``.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: no such device, a file would be overwritten, or the policy is not as shown.
        PolicyInvalid, PolicyTestsFailed: the policy refuses it; it is as it was.
    """
    require(permit, Verb.MANAGE)
    check_device_name(name)
    with changing_policy(desk.policy_path) as (text, write):
        _check_as_shown(desk, text, shown)
        draft = renewal_draft(desk, text, name)
        device = draft.policy.devices[name]
        with _issued(desk, name, credential, out_dir) as (issued, files):
            write(draft)
    desk.record(permit, "device.renewed", name, _until(issued))
    return DeviceAdded(device, "", replace(issued, key_pem=None) if issued else None, files)


def list_devices(permit: Permit, desk: Desk, policy: Policy) -> list[DeviceRow]:
    """Every device of the policy, by name.

    Raises:
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    now = desk.authority.clock.now()
    certificates = desk.authority.registered()
    return [
        _row(policy, device, [row for row in certificates if row.device == device.name], now)
        for _, device in sorted(policy.devices.items())
    ]


@contextmanager
def _issued(
    desk: Desk, name: str, credential: Credential | None, out_dir: Path | None
) -> Iterator[tuple[IssuedDevice | None, tuple[Path, ...]]]:
    """A certificate and its files; if the body fails, no files, and the certificate is revoked."""
    if credential is None or isinstance(credential, ForeignCertificate):
        yield None, ()
        return
    if out_dir is None:
        raise ConfigurationInvalid("say where the device's certificate should be written")
    device_files.refuse_to_overwrite(out_dir)
    match credential:
        case NewKey(lifetime):
            issued = desk.authority.issue_device(name, lifetime)
        case SigningRequest(csr_pem, lifetime):
            issued = desk.authority.sign_csr(name, csr_pem, lifetime)
        case never:
            assert_never(never)
    try:
        with device_files.delivered(out_dir, _contents(issued, credential)) as files:
            yield issued, files
    except BaseException:  # also an interrupt: nobody may hold a certificate nobody knows of
        desk.authority.revoke_serials([issued.serial])
        raise


def _contents(issued: IssuedDevice, credential: NewKey | SigningRequest) -> dict[str, bytes]:
    contents = {device_files.CERTIFICATE: issued.cert_pem, device_files.CA: issued.ca_pem}
    if issued.key_pem is not None:
        contents[device_files.KEY] = issued.key_pem
    if isinstance(credential, NewKey) and credential.p12_passphrase is not None:
        contents[device_files.PKCS12] = pkcs12_of(issued, credential.p12_passphrase)
    return contents


def entry_of(request: DeviceRequest) -> dict[str, policy_text.EntryValue]:
    """Its line of ``[devices]``. Raises ``ConfigurationInvalid``: a name or a fingerprint is none."""
    check_device_name(request.name)
    entry: dict[str, policy_text.EntryValue | None] = {
        "zone": request.zone,
        "ae": request.ae,
        "ip": request.ip,
        "makes": request.makes,
        "address": request.address,
        "fingerprint": _fingerprints(request.credential),
        "owner": request.owner,
        "site": request.site,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _check_as_shown(desk: Desk, text: str, shown: str | None) -> None:
    if shown is not None and text != shown:
        raise ConfigurationInvalid(
            f"{desk.policy_path} was changed by somebody else meanwhile: look at the change again"
        )


def _fingerprints(credential: Credential | None) -> tuple[str, ...] | None:
    if isinstance(credential, ForeignCertificate):
        return (parse_fingerprint(credential.sha256),)
    return None


def check_credential(policy: Policy, request: DeviceRequest) -> None:
    """Let pass a device that has what its zone asks for. Raises ``ConfigurationInvalid``."""
    has_tls = Transport.MTLS in policy.zones[request.zone].transports
    if has_tls and request.credential is None:
        raise ConfigurationInvalid(
            f"device {request.name} in zone {request.zone} needs a certificate: a new key, a request"
            " (CSR), or the fingerprint of its own"
        )
    if not has_tls and request.credential is not None:
        raise ConfigurationInvalid(f"zone {request.zone} is plaintext: its devices have no certificates")


def renewal_draft(desk: Desk, text: str, name: str) -> PolicyDraft:
    """The policy with a device let in again. Raises as ``renew_device``."""
    changed = policy_text.without_revoked(text, name)
    draft = draft_policy(desk.policy_path, changed, desk.authority.clock.now())
    if Transport.MTLS not in draft.policy.zones[draft.policy.devices[name].zone].transports:
        raise ConfigurationInvalid(f"device {name} is in a plaintext zone and has no certificate")
    return draft


def revocation_draft(desk: Desk, before: str, name: str) -> tuple[PolicyDraft, tuple[str, ...]]:
    """The policy with a device shut out, and the tests that had to go for it. Raises as ``revoke_device``."""
    now = desk.authority.clock.now()
    text = policy_text.with_revoked(before, name, now.date())
    try:
        return draft_restriction(desk.policy_path, before, text, now), ()
    except PolicyTestsFailed as refused:
        wanted = tuple(
            test.text
            for test in refused.failed
            if test.expects is Expectation.ALLOW and name in test.text.split()
        )
    without = policy_text.without_allow_tests(text, frozenset(wanted))
    return draft_restriction(desk.policy_path, before, without, now), wanted


def _described(request: DeviceRequest, issued: IssuedDevice | None) -> str:
    how = (
        f"certificate {issued.sha256} until {issued.not_after:%Y-%m-%d}"
        if issued
        else "no certificate of ours"
    )
    return f"zone {request.zone}; {how}"


def _until(issued: IssuedDevice | None) -> str:
    return f"certificate {issued.sha256} until {issued.not_after:%Y-%m-%d}" if issued else ""


def _row(policy: Policy, device: Device, certificates: list[Registered], now: datetime) -> DeviceRow:
    transports = policy.zones[device.zone].transports
    valid = [certificate for certificate in certificates if not certificate.revoked]
    not_after = valid[0].not_after if valid else None
    return DeviceRow(
        name=device.name,
        zone=device.zone,
        transports=tuple(sorted(transports)),
        ae=device.ae,
        makes=tuple(sorted(device.makes.modalities)) if device.makes else None,
        ip=str(device.ip) if device.ip else None,
        address=str(device.address) if device.address else None,
        owner=device.inventory.owner,
        state=_state(device, transports, certificates, now),
        spoofable=Transport.PLAIN in transports,
        fingerprints=tuple(sorted(device.fingerprints)),
        not_after=not_after,
        revoked=device.revoked,
    )


def _state(
    device: Device, transports: frozenset[Transport], certificates: list[Registered], now: datetime
) -> DeviceState:
    if device.revoked is not None:
        return DeviceState.REVOKED
    if Transport.PLAIN in transports or device.fingerprints:
        return DeviceState.READY
    if not certificates:
        return DeviceState.NO_CERTIFICATE
    valid = [certificate for certificate in certificates if not certificate.revoked]
    if not valid:
        return DeviceState.REVOKED
    return DeviceState.READY if now <= valid[0].not_after else DeviceState.EXPIRED
