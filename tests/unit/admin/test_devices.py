from __future__ import annotations

import re
import stat
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from leadglass.admin.desk import Desk
from leadglass.admin.device_changes import change_of_revoking
from leadglass.admin.devices import (
    DeviceRequest,
    DeviceState,
    ForeignCertificate,
    NewKey,
    SigningRequest,
    add_device,
    list_devices,
    renew_device,
    revoke_device,
)
from leadglass.admin.policy_files import PolicyTestsFailed
from leadglass.identity.certificates import device_of
from leadglass.identity.revocation import Revocations
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid, NotPermitted
from leadglass.policy import Policy, PolicyInvalid, check_policy, explain, load_policy, parse_question
from tests.support.admin_desk import HandClock, Notebook, permit_to

MANAGE, STATUS = permit_to(Verb.MANAGE), permit_to(Verb.STATUS)
CT1 = DeviceRequest("ct1", "modalities", ("CT1",), NewKey(), makes=("CT", "SR"), owner="radiology")
US1 = DeviceRequest("us1", "legacy", ("LOGIQ",), None, ip="127.0.0.5", makes=("US",))


def _policy(desk: Desk) -> Policy:
    now = desk.authority.clock.now()
    return load_policy(desk.policy_path.read_text(), path="policy.toml", now=now)


def _allowed(desk: Desk, question: str) -> bool:
    return explain(_policy(desk), parse_question(question), desk.authority.clock.now()).allowed


def _state(desk: Desk) -> tuple[str, list[str], tuple[int, ...]]:
    """Everything a failed change must leave as it was."""
    folder = desk.policy_path.parent.parent
    paths = (path for path in folder.rglob("*") if not path.name.endswith(".lock"))
    files = sorted(str(path) for path in paths if "issued" not in path.parts)
    unrevoked = tuple(row.serial for row in desk.authority.registered() if not row.revoked)
    return desk.policy_path.read_text(), files, unrevoked


def test_added_device_may_store_and_nothing_else(desk: Desk, tmp_path: Path, notebook: Notebook) -> None:
    added = add_device(MANAGE, desk, CT1, tmp_path / "ct1")
    assert _allowed(desk, "ct1 store archive modality=CT")
    assert not _allowed(desk, "ct1 store archive modality=US")
    assert not _allowed(desk, "ct1 find archive")
    assert added.issued is not None
    assert added.issued.key_pem is None
    assert added.device.makes is not None
    assert notebook.kinds == ["device.added"]
    event = notebook.events[0]
    assert (event.who, event.target, event.rule) == ("root", "ct1", "local administrator")
    assert added.issued.sha256 in event.reason


def test_files_of_a_device_are_complete_and_private(desk: Desk, tmp_path: Path) -> None:
    request = replace(CT1, credential=NewKey(p12_passphrase=b"correct horse"))
    added = add_device(MANAGE, desk, request, tmp_path / "out" / "ct1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in added.files}
    assert modes == {"key.pem": 0o600, "cert.pem": 0o644, "ca.pem": 0o644, "device.p12": 0o600}
    folder = tmp_path / "out" / "ct1"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), password=None)
    assert certificate.public_key() == key.public_key()
    assert device_of(certificate) == "ct1"
    assert pkcs12.load_pkcs12((folder / "device.p12").read_bytes(), b"correct horse").key is not None


def test_policy_keeps_every_other_byte(desk: Desk, tmp_path: Path) -> None:
    before = desk.policy_path.read_text()
    line = add_device(MANAGE, desk, replace(CT1, owner="ward 3"), tmp_path / "ct1").policy_line
    after = desk.policy_path.read_text()
    assert line == 'ct1 = { zone = "modalities", ae = ["CT1"], makes = ["CT", "SR"], owner = "ward 3" }'
    assert after.replace(line + "\n", "") == before
    assert desk.policy_path.with_name("policy.toml.1").read_text() == before
    assert stat.S_IMODE(desk.policy_path.stat().st_mode) == 0o600


def test_device_that_kept_its_key_gets_a_certificate_only(desk: Desk, tmp_path: Path) -> None:
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    request = replace(CT1, credential=SigningRequest(csr))
    added = add_device(MANAGE, desk, request, tmp_path / "ct1")
    assert sorted(path.name for path in added.files) == ["ca.pem", "cert.pem"]


def test_foreign_certificate_is_pinned_and_none_is_issued(desk: Desk) -> None:
    request = replace(CT1, credential=ForeignCertificate(":".join(["AB"] * 32)))
    added = add_device(MANAGE, desk, request, None)
    assert added.issued is None
    assert added.files == ()
    assert _policy(desk).devices["ct1"].fingerprints == {"ab" * 32}
    assert desk.authority.registered() == []


def test_plaintext_device_has_an_address_and_no_certificate(desk: Desk) -> None:
    add_device(MANAGE, desk, US1, None)
    assert _allowed(desk, "us1 store archive modality=US")
    assert desk.authority.registered() == []


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(CT1, name="CT1"), "not a device's name"),
        (replace(CT1, name="archive"), "word of the language"),
        (replace(CT1, zone="nowhere"), "nowhere"),
        (replace(CT1, ae=()), "AE title"),
        (replace(CT1, ae=("TOO LONG AN AE TITLE",)), "AE title"),
        (replace(CT1, makes=("*",)), "\\*"),
        (replace(CT1, ip="300.1.1.1"), "not an IP address"),
        (replace(CT1, address="ct1.example.org:104"), "not an IP address and port"),
        (replace(CT1, credential=None), "needs a certificate"),
        (replace(CT1, credential=SigningRequest(b"nonsense")), "not a certificate request"),
        (replace(CT1, credential=ForeignCertificate("ab")), "SHA-256"),
        (replace(CT1, credential=NewKey(p12_passphrase=b"")), "passphrase"),
        (replace(CT1, credential=NewKey(timedelta(days=-1))), "expired when made"),
        (replace(US1, credential=NewKey()), "plaintext"),
        (replace(US1, ip=None), "ip"),
    ],
)
def test_bad_request_changes_nothing(
    desk: Desk, tmp_path: Path, notebook: Notebook, request_: DeviceRequest, reason: str
) -> None:
    before = _state(desk)
    with pytest.raises(ConfigurationInvalid, match=reason):
        add_device(MANAGE, desk, request_, tmp_path / "out")
    assert _state(desk) == before
    assert notebook.events == []


def test_second_device_of_a_name_or_title_is_refused(desk: Desk, tmp_path: Path) -> None:
    add_device(MANAGE, desk, CT1, tmp_path / "ct1")
    before = _state(desk)
    with pytest.raises(ConfigurationInvalid, match="device ct1 exists"):
        add_device(MANAGE, desk, replace(CT1, ae=("OTHER",)), tmp_path / "other")
    with pytest.raises(PolicyInvalid, match="CT1"):
        add_device(MANAGE, desk, replace(CT1, name="ct2"), tmp_path / "other")
    assert _state(desk) == before


def test_tests_of_the_policy_refuse_a_device_and_nothing_is_left(desk: Desk, tmp_path: Path) -> None:
    text = desk.policy_path.read_text()
    tightened = text.replace(
        'deny = ["internet echo archive"]', 'deny = ["internet echo archive", "ct1 store archive"]'
    )
    desk.policy_path.write_text(
        tightened.replace("[devices]", '[devices]\nmr1 = { zone = "modalities", ae = ["MR1"] }')
    )
    before = _state(desk)
    with pytest.raises(PolicyTestsFailed, match="ct1 store archive") as caught:
        add_device(MANAGE, desk, CT1, tmp_path / "ct1")
    assert [test.text for test in caught.value.failed] == ["ct1 store archive"]
    assert _state(desk) == before


@pytest.mark.parametrize("name", ["key.pem", "cert.pem", "ca.pem", "device.p12"])
def test_no_file_is_overwritten(desk: Desk, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    before = _state(desk)
    with pytest.raises(ConfigurationInvalid, match="not overwritten"):
        add_device(MANAGE, desk, CT1, tmp_path / "out")
    assert _state(desk) == before


def test_certificate_needs_a_folder(desk: Desk) -> None:
    with pytest.raises(ConfigurationInvalid, match="where the device's certificate"):
        add_device(MANAGE, desk, CT1, None)


def test_folder_that_cannot_be_written_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    before = _state(desk)
    with pytest.raises(ConfigurationInvalid, match="cannot write"):
        add_device(MANAGE, desk, CT1, tmp_path / "file" / "ct1")
    assert _state(desk) == before


def test_policy_changed_meanwhile_is_not_overwritten(desk: Desk, tmp_path: Path, clock: HandClock) -> None:
    edited = desk.policy_path.read_text() + "# an editor was here\n"

    class Meddling(HandClock):
        """An administrator saves the policy while the certificate is made."""

        def now(self) -> datetime:
            desk.policy_path.write_text(edited)
            return self.at

    desk.authority._clock = Meddling(clock.at)
    with pytest.raises(ConfigurationInvalid, match="changed by somebody else"):
        add_device(MANAGE, desk, CT1, tmp_path / "ct1")
    assert desk.policy_path.read_text() == edited
    assert not (tmp_path / "ct1").exists()
    assert all(row.revoked for row in desk.authority.registered())


def test_certificates_of_an_older_device_of_the_name_do_not_come_back(desk: Desk, tmp_path: Path) -> None:
    before = desk.policy_path.read_text()
    old = add_device(MANAGE, desk, CT1, tmp_path / "old").issued
    desk.policy_path.write_text(before)  # struck by hand
    new = add_device(MANAGE, desk, CT1, tmp_path / "new").issued
    assert old is not None
    assert new is not None
    assert {row.serial: row.revoked for row in desk.authority.registered()} == {
        old.serial: True,
        new.serial: False,
    }


def test_revoked_device_is_shut_out_in_policy_and_list(
    desk: Desk, tmp_path: Path, notebook: Notebook, clock: HandClock
) -> None:
    issued = add_device(MANAGE, desk, CT1, tmp_path / "ct1").issued
    assert issued is not None
    revoked = revoke_device(MANAGE, desk, "ct1")
    assert revoked.serials == (issued.serial,)
    assert _policy(desk).devices["ct1"].revoked == clock.at.date()
    assert not _allowed(desk, "ct1 store archive modality=CT")
    assert Revocations(desk.authority.crl_path, desk.authority.ca).is_revoked(issued.serial)
    assert notebook.kinds == ["device.added", "device.revoked"]
    again = revoke_device(MANAGE, desk, "ct1")
    assert again.serials == ()


def test_plaintext_device_can_be_revoked_too(desk: Desk) -> None:
    add_device(MANAGE, desk, US1, None)
    assert revoke_device(MANAGE, desk, "us1").serials == ()
    assert not _allowed(desk, "us1 store archive modality=US")


def test_device_of_any_name_that_the_policy_takes_can_be_revoked(desk: Desk) -> None:
    rows = '[devices]\nMR_1 = { zone = "modalities", ae = ["MR1"] }\n'
    text = desk.policy_path.read_text()
    desk.policy_path.write_text(re.sub(r"\[devices\].*\n", rows, text, count=1))
    change = change_of_revoking(MANAGE, desk, "MR_1")
    assert any("revoked" in line for line in change.lines)
    revoke_device(MANAGE, desk, "MR_1")
    assert _policy(desk).devices["MR_1"].revoked is not None


def test_revocation_takes_out_the_tests_that_want_the_device_in(desk: Desk, tmp_path: Path) -> None:
    add_device(MANAGE, desk, CT1, tmp_path / "ct1")
    add_device(MANAGE, desk, replace(CT1, name="ct2", ae=("CT2",)), tmp_path / "ct2")
    text = desk.policy_path.read_text()
    allow = 'allow = [\n  "ct1 store archive",  # the main scanner\n  "ct2 store archive",\n]'
    desk.policy_path.write_text(text.replace("allow = []", allow))
    revoked = revoke_device(MANAGE, desk, "ct1")
    assert revoked.removed_tests == ("ct1 store archive",)
    assert [test.text for test in _policy(desk).tests] == ["ct2 store archive", "internet echo archive"]
    assert _policy(desk).devices["ct1"].revoked is not None


def test_a_test_whose_date_has_passed_keeps_no_device_in(
    desk: Desk, tmp_path: Path, clock: HandClock
) -> None:
    add_device(MANAGE, desk, CT1, tmp_path / "ct1")
    add_device(MANAGE, desk, US1, None)
    past = clock.at.date() + timedelta(days=1)
    flow = f'[flows]\nold = {{ from = ["ct1"], to = "archive", can = ["find"], expires = {past} }}\n'
    text = desk.policy_path.read_text().replace("[flows]\n", flow)
    desk.policy_path.write_text(text.replace("allow = []", 'allow = ["ct1 find archive"]'))
    clock.at += timedelta(days=3)
    revoke_device(MANAGE, desk, "us1")
    checked = check_policy(desk.policy_path.read_text(), path="policy.toml", now=clock.at)
    assert checked.policy is not None
    assert checked.policy.devices["us1"].revoked == clock.at.date()


def test_a_revocation_is_refused_where_it_would_let_somebody_in(desk: Desk, tmp_path: Path) -> None:
    add_device(MANAGE, desk, CT1, tmp_path / "ct1")
    add_device(MANAGE, desk, replace(CT1, name="ct2", ae=("CT2",)), tmp_path / "ct2")
    text = desk.policy_path.read_text()
    desk.policy_path.write_text(text.replace("deny = [", 'deny = ["ct2 store archive", '))
    with pytest.raises(PolicyTestsFailed):
        revoke_device(MANAGE, desk, "ct1")


def test_broken_policy_does_not_save_the_certificates(desk: Desk, tmp_path: Path, notebook: Notebook) -> None:
    issued = add_device(MANAGE, desk, CT1, tmp_path / "ct1").issued
    assert issued is not None
    broken = desk.policy_path.read_text() + "\n[zones"
    desk.policy_path.write_text(broken)
    with pytest.raises(ConfigurationInvalid, match="not TOML"):
        revoke_device(MANAGE, desk, "ct1")
    assert Revocations(desk.authority.crl_path, desk.authority.ca).is_revoked(issued.serial)
    assert desk.policy_path.read_text() == broken
    assert "could not be changed" in notebook.events[-1].reason


def test_unknown_device_cannot_be_revoked_or_renewed(desk: Desk, tmp_path: Path, notebook: Notebook) -> None:
    for name in ("ct9", "../../etc"):
        with pytest.raises(ConfigurationInvalid, match="device"):
            revoke_device(MANAGE, desk, name)
        with pytest.raises(ConfigurationInvalid, match="device"):
            renew_device(MANAGE, desk, name, NewKey(), tmp_path / "out")
    assert notebook.events == []
    assert not (tmp_path / "out").exists()


def test_renewal_lifts_the_revocation_but_not_of_the_old_certificate(
    desk: Desk, tmp_path: Path, notebook: Notebook
) -> None:
    old = add_device(MANAGE, desk, CT1, tmp_path / "old").issued
    revoke_device(MANAGE, desk, "ct1")
    new = renew_device(MANAGE, desk, "ct1", NewKey(), tmp_path / "new").issued
    assert old is not None
    assert new is not None
    assert _policy(desk).devices["ct1"].revoked is None
    assert _allowed(desk, "ct1 store archive modality=CT")
    revocations = Revocations(desk.authority.crl_path, desk.authority.ca)
    assert revocations.serials == {old.serial}
    assert notebook.kinds[-1] == "device.renewed"


def test_ordinary_renewal_leaves_the_old_certificate_until_it_ends(desk: Desk, tmp_path: Path) -> None:
    add_device(MANAGE, desk, CT1, tmp_path / "old")
    text = desk.policy_path.read_text()
    renew_device(MANAGE, desk, "ct1", NewKey(), tmp_path / "new")
    assert [row.revoked for row in desk.authority.registered()] == [False, False]
    assert desk.policy_path.read_text() == text


def test_plaintext_device_has_nothing_to_renew(desk: Desk, tmp_path: Path) -> None:
    add_device(MANAGE, desk, US1, None)
    with pytest.raises(ConfigurationInvalid, match="plaintext zone"):
        renew_device(MANAGE, desk, "us1", NewKey(), tmp_path / "out")


def test_list_tells_each_devices_state(desk: Desk, tmp_path: Path, clock: HandClock) -> None:
    for name in ("gone", "late", "ready"):
        lifetime = timedelta(days=10 if name == "late" else 100)
        request = replace(CT1, name=name, ae=(name.upper(),), credential=NewKey(lifetime))
        add_device(MANAGE, desk, request, tmp_path / name)
    pinned = replace(CT1, name="pinned", ae=("PINNED",), credential=ForeignCertificate("ab" * 32))
    add_device(MANAGE, desk, pinned, None)
    add_device(MANAGE, desk, US1, None)
    text = desk.policy_path.read_text()
    rows_by_hand = [
        f'{name} = {{ zone = "modalities", ae = ["{name.upper()}"] }}' for name in ("bare", "lost")
    ]
    desk.policy_path.write_text(text.replace("[groups]", "\n".join([*rows_by_hand, "[groups]"])))
    lost = desk.authority.issue_device("lost")
    desk.authority.revoke_serials([lost.serial])
    revoke_device(MANAGE, desk, "gone")
    clock.at += timedelta(days=20)
    rows = {row.name: row for row in list_devices(STATUS, desk, _policy(desk))}
    assert {name: row.state for name, row in rows.items()} == {
        "bare": DeviceState.NO_CERTIFICATE,
        "gone": DeviceState.REVOKED,
        "late": DeviceState.EXPIRED,
        "lost": DeviceState.REVOKED,
        "pinned": DeviceState.READY,
        "ready": DeviceState.READY,
        "us1": DeviceState.READY,
    }
    assert [name for name, row in rows.items() if row.spoofable] == ["us1"]
    assert rows["us1"].ip == "127.0.0.5"
    assert rows["ready"].not_after == datetime(2027, 3, 2, 9, 30, tzinfo=UTC)
    assert rows["gone"].revoked == date(2026, 11, 22)
    assert rows["pinned"].fingerprints == ("ab" * 32,)
    assert rows["ready"].makes == ("CT", "SR")


def test_every_use_case_wants_the_right_permit(desk: Desk, tmp_path: Path) -> None:
    wrong = [STATUS, permit_to(Verb.STORE), permit_to(Verb.MANAGE, "archive")]
    for permit in wrong:
        with pytest.raises(NotPermitted):
            add_device(permit, desk, CT1, tmp_path / "ct1")
        with pytest.raises(NotPermitted):
            revoke_device(permit, desk, "ct1")
        with pytest.raises(NotPermitted):
            renew_device(permit, desk, "ct1", NewKey(), tmp_path / "ct1")
    with pytest.raises(NotPermitted):
        list_devices(MANAGE, desk, _policy(desk))
    assert not (tmp_path / "ct1").exists()
