"""The command line as an administrator and a device's owner type it, one process a command."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from leadglass.audit.read import AuditLine
from leadglass.protocol.services import VERIFICATION
from tests.support.corpus import corpus_file
from tests.support.leadglass import Typed, leadglass
from tests.support.ports import free_port
from tests.support.processes import ChildProcess
from tests.support.raw_peer import RawPeer, client_tls, contexts_for
from tests.support.site import READING_ADDRESS, Credentials, LiveSite

OK, ERROR, USAGE, FINDINGS, TESTS_FAILED, PARTLY_DONE = 0, 1, 2, 3, 4, 6
PROMISED = timedelta(seconds=1)
FILE = corpus_file("CT_small.dcm")


@dataclass(frozen=True, slots=True)
class Desk:
    """A site made by ``init``, and the folder that its administrator works in."""

    site: LiveSite
    made: Typed

    @property
    def folder(self) -> Path:
        return self.site.folder

    @property
    def policy(self) -> Path:
        return self.site.home / "policy.toml"

    def type(self, *arguments: str) -> Typed:
        """``leadglass --home site ...``, typed in that folder."""
        return leadglass(Path("site"), *arguments, cwd=self.folder)

    def call(self, command: str, device: str, *arguments: str) -> Typed:
        """A client command as a device, with its files. ``ws1`` calls from its reading room."""
        files = [option for name in ("cert", "key", "ca") for option in (f"--{name}", f"{device}/{name}.pem")]
        bind = ("--bind", READING_ADDRESS) if device == "ws1" else ()
        peer = ("--to", f"127.0.0.1:{self.site.tls_port}", "--called", "NORTH", "--calling", device.upper())
        return leadglass(None, command, *peer, *files, *bind, *arguments, cwd=self.folder)

    def credentials(self, device: str) -> Credentials:
        return Credentials(self.folder / device)

    def serve(self, name: str) -> ChildProcess:
        """``leadglass --home site serve``, ready."""
        command = [sys.executable, "-m", "leadglass", "--home", str(self.site.home), "serve"]
        server = ChildProcess(command, self.folder / f"{name}.log")
        server.wait_for(r"^ready ", timeout_s=60)
        return server


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """North Clinic, with its scanner and its workstation."""
    folder = tmp_path_factory.mktemp("desk")
    tls, plain = free_port(), free_port()
    made = leadglass(
        Path("site"),
        *("init", "--name", "North Clinic", "--ae", "NORTH"),
        *("--dicom-tls", f"127.0.0.1:{tls}", "--dicom-plain", f"legacy=127.0.0.1:{plain}"),
        cwd=folder,
    )
    assert made.exit_code == OK, made.err
    desk = Desk(LiveSite(folder / "site", tls, plain, folder), made)
    for name, zone in (("ct1", "modalities"), ("ws1", "reading"), ("ct2", "modalities")):
        options = ("--makes", "CT,SR") if name.startswith("ct") else ()
        added = desk.type(
            *("device", "add", "--yes", name, "--zone", zone, "--ae", name.upper(), "--out", f"{name}/"),
            *options,
        )
        assert added.exit_code == OK, added.err
    return desk


@pytest.fixture(scope="module")
def server(desk: Desk) -> Iterator[ChildProcess]:
    with desk.serve("served") as running:
        yield running


# init


def test_init_prints_every_path_the_fingerprint_and_the_next_command(desk: Desk) -> None:
    paths = [Path(line) for line in desk.made.out.splitlines()]
    assert all((desk.folder / path).exists() for path in paths)
    assert {"leadglass.toml", "policy.toml"} <= {path.name for path in paths}
    assert "SHA-256" in desk.made.err
    assert f"leadglass --home {desk.site.home} device add" in desk.made.err


def test_init_overwrites_nothing(desk: Desk) -> None:
    before = {path: path.read_bytes() for path in desk.site.home.rglob("*.toml")}
    again = desk.type("init", "--name", "Other", "--ae", "OTHER", "--dicom-tls", "127.0.0.1:2762")
    assert again.exit_code == ERROR
    assert "error:" in again.err
    assert {path: path.read_bytes() for path in desk.site.home.rglob("*.toml")} == before


def test_nobody_but_the_owner_reads_keys(desk: Desk) -> None:
    assert stat.S_IMODE(desk.site.home.stat().st_mode) == 0o700
    keys = [*(desk.site.home / "keys").glob("*.key"), *desk.folder.glob("*/key.pem")]
    assert len(keys) > 3
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in desk.folder.glob("*/c*.pem"))


# device


def test_device_add_writes_the_three_files_and_keeps_the_policys_comments(desk: Desk) -> None:
    for device in ("ct1", "ws1"):
        assert {path.name for path in (desk.folder / device).iterdir()} == {"key.pem", "cert.pem", "ca.pem"}
    text = desk.policy.read_text(encoding="utf-8")
    assert "# Who may do what at North Clinic. What is not written here is refused." in text
    assert 'ct1 = { zone = "modalities", ae = ["CT1"], makes = ["CT", "SR"] }' in text


def test_device_add_packs_pkcs12_with_a_passphrase_from_the_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADGLASS_P12_PASSPHRASE", "open sesame")
    added = desk.type(
        *("device", "add", "--yes", "mr1", "--zone", "modalities", "--ae", "MR1", "--out", "mr1/", "--p12")
    )
    assert added.exit_code == OK, added.err
    assert "open sesame" not in added.out + added.err
    packed = (desk.folder / "mr1" / "device.p12").read_bytes()
    assert pkcs12.load_pkcs12(packed, b"open sesame").cert is not None


def test_device_add_signs_a_request_and_never_sees_the_key(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever it calls itself")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    (desk.folder / "us2.csr").write_bytes(request.public_bytes(serialization.Encoding.PEM))
    added = desk.type(
        *(
            "device",
            "add",
            "--yes",
            "us2",
            "--zone",
            "modalities",
            "--ae",
            "US2",
            "--out",
            "us2/",
            "--csr",
            "us2.csr",
        )
    )
    assert added.exit_code == OK, added.err
    assert {path.name for path in (desk.folder / "us2").iterdir()} == {"cert.pem", "ca.pem"}
    certificate = x509.load_pem_x509_certificate((desk.folder / "us2" / "cert.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["urn:leadglass:device:us2"]


def test_device_add_pins_a_foreign_certificate(desk: Desk) -> None:
    fingerprint = "AB:" * 31 + "AB"
    added = desk.type(
        *("device", "add", "--yes", "far", "--zone", "reading", "--ae", "FAR", "--fingerprint", fingerprint)
    )
    assert added.exit_code == OK, added.err
    assert "ab" * 32 in desk.policy.read_text(encoding="utf-8").lower()


def test_a_device_is_not_added_twice(desk: Desk) -> None:
    before = desk.policy.read_bytes()
    again = desk.type(
        "device", "add", "--yes", "ct1", "--zone", "modalities", "--ae", "CT9", "--out", "again/"
    )
    assert again.exit_code == ERROR
    assert desk.policy.read_bytes() == before
    assert not (desk.folder / "again").exists()


def test_device_list_shows_them(desk: Desk) -> None:
    rows = {row["name"]: row for row in desk.type("device", "list", "--json").json()}
    assert {"ct1", "ct2", "ws1"} <= set(rows)
    assert (rows["ct1"]["zone"], rows["ct1"]["makes"]) == ("modalities", ["CT", "SR"])
    assert "ct1" in desk.type("device", "list").out


# zones


def test_zones_check_finds_nothing_in_a_good_policy(desk: Desk) -> None:
    assert desk.type("zones", "check").exit_code == OK


def test_zones_check_names_file_line_column_and_the_nearest_word(desk: Desk) -> None:
    text = desk.policy.read_text(encoding="utf-8").replace(
        'can = ["echo", "store"]', 'can = ["echo", "stroe"]', 1
    )
    (desk.folder / "wrong.toml").write_text(text, encoding="utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "stroe" in each)
    checked = desk.type("zones", "check", "wrong.toml")
    assert checked.exit_code == ERROR
    assert f"wrong.toml:{line}:" in checked.out
    assert "store" in checked.out


def test_zones_check_runs_the_policys_tests(desk: Desk) -> None:
    text = desk.policy.read_text(encoding="utf-8").replace("allow = []", 'allow = ["ct1 find archive"]')
    (desk.folder / "failing.toml").write_text(text, encoding="utf-8")
    checked = desk.type("zones", "check", "failing.toml")
    assert checked.exit_code == TESTS_FAILED
    assert "ct1 find archive" in checked.out


@pytest.mark.parametrize(
    ("question", "exit_code"),
    [
        ("ct1 store archive", OK),
        ("ct1 find archive", FINDINGS),
        ("ct1 store archive modality=US", FINDINGS),
        ("ws1 find archive", OK),
        ("ct1 dance archive", USAGE),
    ],
)
def test_zones_explain_answers_with_its_exit_code(desk: Desk, question: str, exit_code: int) -> None:
    assert desk.type("zones", "explain", question).exit_code == exit_code


def test_zones_explain_shows_the_ladder_and_the_narrowest_fix(desk: Desk) -> None:
    told = desk.type("zones", "explain", "ct1 find archive").out
    assert "denied" in told
    assert "NO  " in told
    assert "fix: " in told


# serve


def test_serve_says_ready_on_stderr_and_ends_in_order(desk: Desk) -> None:
    command = [sys.executable, "-m", "leadglass", "--home", "site", "serve"]
    with subprocess.Popen(
        command, cwd=desk.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as served:
        assert served.stderr is not None
        ready = next(line for line in served.stderr if line.startswith("ready "))
        served.send_signal(signal.SIGTERM)
        out, _ = served.communicate(timeout=30)
    assert ready.split()[1:] == [
        f"dicom-tls=127.0.0.1:{desk.site.tls_port}",
        f"legacy=127.0.0.1:{desk.site.plain_port}",
    ]
    assert (served.returncode, out) == (OK, "")
    assert desk.site.audit("server")[-1].event.kind == "server.stopped"


def test_a_site_is_served_once(desk: Desk, server: ChildProcess) -> None:
    second = desk.type("serve")
    assert second.exit_code == ERROR
    assert "another process serves" in second.err
    assert server.exit_code is None


# the clients


@pytest.mark.usefixtures("server")
def test_a_scanner_sends_and_a_workstation_finds_and_gets(desk: Desk) -> None:
    assert desk.call("echo", "ct1").exit_code == OK
    sent = desk.call("send", "ct1", str(FILE.path), "--json")
    assert sent.exit_code == OK, sent.err
    assert sent.json() == {"sent": 1, "failed": []}
    found = desk.call("find", "ws1", "--json", "PatientID=1CT1")
    assert [row["StudyInstanceUID"] for row in found.json()] == [FILE.study]
    got = desk.call("get", "ws1", "--study", FILE.study, "--out", "got")
    assert got.exit_code == OK, got.err
    (file,) = (desk.folder / "got").iterdir()
    assert file.read_bytes().endswith(FILE.dataset_bytes())
    assert file.read_bytes()[:132] == bytes(128) + b"DICM"


@pytest.mark.usefixtures("server")
def test_what_the_policy_forbids_ends_with_an_error(desk: Desk) -> None:
    assert desk.call("find", "ct1").exit_code == ERROR
    ultrasound = corpus_file("ExplVR_BigEnd.dcm")
    refused = desk.call("send", "ct1", str(ultrasound.path))
    assert refused.exit_code == ERROR
    assert "0124" in refused.err
    partly = desk.call("send", "ct1", str(FILE.path), str(ultrasound.path))
    assert partly.exit_code == PARTLY_DONE


# status, audit, check


@pytest.mark.usefixtures("server")
def test_status_says_that_it_is_served_and_what_it_holds(desk: Desk, server: ChildProcess) -> None:
    desk.call("send", "ct1", str(FILE.path))
    told = desk.type("status", "--json").json()
    assert told["running"]["pid"] == server.pid
    assert told["counts"]["instances"] == 1
    assert "served" in desk.type("status").out


@pytest.mark.usefixtures("server")
def test_the_audit_trail_is_shown_and_proved(desk: Desk) -> None:
    desk.call("find", "ct1")
    shown = desk.type("audit", "tail", "--ladder", "-n", "50")
    assert shown.exit_code == OK
    assert "association.refused" in shown.out or "operation.find" in shown.out
    assert FILE.study not in desk.type("audit", "tail", "--kind", "server").out
    proved = desk.type("audit", "verify")
    assert proved.exit_code == OK
    assert "whole" in proved.err


@pytest.mark.usefixtures("server")
def test_check_reads_everything_and_changes_nothing(desk: Desk) -> None:
    desk.call("send", "ct1", str(FILE.path))
    checked = desk.type("check", "--json")
    assert checked.exit_code == OK
    assert checked.json()["sound"] is True
    assert checked.json()["objects"] == 1


# what changes while it serves


def last(desk: Desk, kind: str) -> AuditLine:
    return desk.site.audit(kind)[-1]


def test_a_revocation_cuts_a_live_association_within_a_second(desk: Desk, server: ChildProcess) -> None:
    credentials = desk.credentials("ct2")
    with RawPeer(desk.site.tls_port, tls=client_tls(credentials)) as peer:
        peer.open("CT2", contexts_for(VERIFICATION))
        assert peer.echo(1) == 0
        assert desk.type("device", "revoke", "--yes", "ct2").exit_code == OK
        assert peer.is_dropped()
    cut = last(desk, "association.cut")
    assert (cut.event.who, cut.event.outcome) == ("ct2", "denied")
    assert cut.time - last(desk, "device.revoked").time <= PROMISED
    assert desk.call("echo", "ct2").exit_code != OK
    assert desk.call("echo", "ct1").exit_code == OK
    states = {row["name"]: row["state"] for row in desk.type("device", "list", "--json").json()}
    assert (states["ct1"], states["ct2"]) == ("ready", "revoked")


RELOADED, KEPT = "policy reloaded", "the old one stays in force"


@contextmanager
def one_more(server: ChildProcess, message: str) -> Iterator[None]:
    """What the block does makes the server log this once more."""
    before = server.text().count(message)
    yield
    server.wait_for(rf"(?s)({message}.*){{{before + 1}}}")


def test_a_changed_policy_is_in_force_within_a_second(desk: Desk, server: ChildProcess) -> None:
    before = desk.policy.read_text(encoding="utf-8")
    with one_more(server, RELOADED):
        desk.site.edit_policy('acquire = { from = ["zone:modalities"]', "acquire = { from = []")
    edited = datetime.fromtimestamp(desk.policy.stat().st_mtime, UTC)
    assert desk.call("echo", "ct1").exit_code != OK
    assert last(desk, "policy.reloaded").time - edited <= PROMISED
    with one_more(server, RELOADED):
        desk.policy.write_text(before, encoding="utf-8")
    assert desk.call("echo", "ct1").exit_code == OK


def test_sighup_reloads(server: ChildProcess) -> None:
    with one_more(server, RELOADED):
        server.send_signal(signal.SIGHUP)
    assert server.exit_code is None


@pytest.mark.parametrize(
    ("old", "new"),
    [("[flows]", "[flows"), ("allow = []", 'allow = ["ct1 find archive"]')],
    ids=["broken", "failing its own tests"],
)
def test_a_wrong_policy_leaves_the_old_one_in_force(
    desk: Desk, server: ChildProcess, old: str, new: str
) -> None:
    before = desk.policy.read_text(encoding="utf-8")
    with one_more(server, KEPT):
        desk.site.edit_policy(old, new)
    assert desk.call("echo", "ct1").exit_code == OK
    assert desk.call("find", "ct1").exit_code == ERROR
    assert last(desk, "policy.rejected").event.outcome == "failed"
    with one_more(server, RELOADED):
        desk.policy.write_text(before, encoding="utf-8")
