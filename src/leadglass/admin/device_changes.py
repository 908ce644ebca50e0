"""What ``device add``, ``revoke`` and ``renew`` would change: to be shown before anybody is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leadglass.admin import device_files, policy_text
from leadglass.admin.desk import Desk, require
from leadglass.admin.devices import (
    Credential,
    DeviceRequest,
    ForeignCertificate,
    NewKey,
    SigningRequest,
    check_credential,
    entry_of,
    renewal_draft,
    revocation_draft,
)
from leadglass.admin.policy_apply import proposal_of
from leadglass.admin.policy_files import PolicyDraft, draft_policy, read_policy_text
from leadglass.admin.policy_text import changed_lines
from leadglass.identity.certificates import check_device_name
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit
from leadglass.policy import check_policy
from leadglass.policy.reach import Difference, compare


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """One change of a device, not made yet. ``standing`` is the policy's text that it was worked out from.

    ``lines`` are those of the policy that go (``-``) and come (``+``), with file and number.
    ``difference`` is ``None`` where the policy in place has errors; ``trouble`` then says which, and a
    revocation reaches only the certificates. ``certificates`` say what is made or revoked.
    """

    standing: str
    lines: tuple[str, ...]
    difference: Difference | None
    certificates: tuple[str, ...]
    removed_tests: tuple[str, ...] = ()
    trouble: str = ""


def change_of_adding(
    permit: Permit, desk: Desk, request: DeviceRequest, out_dir: Path | None
) -> DeviceChange:
    """What ``add_device`` would do. Raises as it does, before anything is made."""
    require(permit, Verb.MANAGE)
    entry, standing = entry_of(request), read_policy_text(desk.policy_path)
    changed = policy_text.with_device(standing, request.name, entry)
    draft = draft_policy(desk.policy_path, changed, desk.authority.clock.now())
    check_credential(draft.policy, request)
    older = len(_counting(desk, request.name))
    revoked = (f"{older} certificates of an older device of this name are revoked",) if older else ()
    made = _made(request.name, request.credential, out_dir)
    return _change(desk, draft, standing, (*revoked, *made))


def change_of_renewing(
    permit: Permit, desk: Desk, name: str, credential: NewKey | SigningRequest, out_dir: Path
) -> DeviceChange:
    """What ``renew_device`` would do. Raises as it does, before anything is made."""
    require(permit, Verb.MANAGE)
    check_device_name(name)
    standing = read_policy_text(desk.policy_path)
    draft = renewal_draft(desk, standing, name)
    return _change(desk, draft, standing, _made(name, credential, out_dir))


def change_of_revoking(permit: Permit, desk: Desk, name: str) -> DeviceChange:
    """What ``revoke_device`` would do; it does that much also where the policy cannot be changed.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: no such device, and no certificate of that name.
    """
    require(permit, Verb.MANAGE)
    certificates = tuple(f"certificate {sha256} is revoked" for sha256 in _counting(desk, name))
    try:
        standing = read_policy_text(desk.policy_path)
        draft, removed = revocation_draft(desk, standing, name)
    except ConfigurationInvalid as error:
        if not certificates:
            raise
        return DeviceChange("", (), None, certificates, trouble=str(error))
    now = desk.authority.clock.now()
    before = check_policy(standing, path=str(desk.policy_path), now=now).policy
    difference = None if before is None else compare(before, draft.policy, now)
    lines = changed_lines(desk.policy_path.name, standing, draft.text)
    return DeviceChange(standing, lines, difference, certificates, removed)


def _change(desk: Desk, draft: PolicyDraft, standing: str, certificates: tuple[str, ...]) -> DeviceChange:
    proposal = proposal_of(desk, desk.policy_path, draft.text, standing)
    lines = changed_lines(desk.policy_path.name, standing, draft.text)
    return DeviceChange(standing, lines, proposal.difference, certificates)


def _counting(desk: Desk, name: str) -> list[str]:
    """Its certificates that are not revoked."""
    return [each.sha256 for each in desk.authority.registered() if each.device == name and not each.revoked]


def _made(name: str, credential: Credential | None, out_dir: Path | None) -> tuple[str, ...]:
    if credential is None or isinstance(credential, ForeignCertificate):
        return ()
    if out_dir is None:
        raise ConfigurationInvalid("say where the device's certificate should be written")
    device_files.refuse_to_overwrite(out_dir)
    what = "a new key and its certificate" if isinstance(credential, NewKey) else "a certificate"
    return (f"{what} for {name}, for {credential.lifetime.days} days, is written to {out_dir}",)
