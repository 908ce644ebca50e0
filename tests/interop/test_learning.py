"""A device that nobody knows yet, played by DCMTK: watched, kept apart, remembered, and made a rule of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import studies
from tests.support.dcmtk import Argument, Dcmtk
from tests.support.leadglass import Typed, leadglass
from tests.support.processes import ChildProcess
from tests.support.site import ARCHIVE_AE, LEGACY_ADDRESS, Credentials, LiveSite, make_site
from tests.support.studies import Study

SUCCESS = 0x0000
SERVED = studies.single(911)
MRI = studies.single(910, ("MR", 2))
KEYS: list[Argument] = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={MRI.uid}"]
READING = 'desk = { from = ["ws1"], to = "archive", can = ["echo", "find"] }\n'


@pytest.fixture
def site(tmp_path: Path) -> LiveSite:
    """A site with nobody in it."""
    return make_site(tmp_path)


def typed(site: LiveSite, *arguments: str) -> Typed:
    return leadglass(site.home, *arguments)


def wait_for_reload(server: ChildProcess, times: int) -> None:
    """Until the server has taken that many changes of the policy."""
    deadline_s = time.monotonic() + 20
    while server.text().count("policy reloaded") < times:
        assert time.monotonic() < deadline_s, server.text()
        time.sleep(0.05)


def stored(dcmtk: Dcmtk, study: Study, folder: Path) -> list[int]:
    return dcmtk.store(study.write(folder), "-xe").require().statuses()


def found(dcmtk: Dcmtk, out: Path) -> list[str]:
    ran, answers = dcmtk.find(out, KEYS, "-S")
    assert ran.require().statuses()[-1] == SUCCESS
    return [str(answer.StudyInstanceUID) for answer in answers]


def test_a_device_is_learned_from_its_first_call_to_its_first_image_in_the_archive(
    site: LiveSite, tmp_path: Path
) -> None:
    reader = Dcmtk(site.tls_port, "WS1", ARCHIVE_AE, site.add_device("ws1", "modalities", "WS1"))
    site.edit_policy("\n[grants]", f"{READING}\n[grants]")
    device = Dcmtk(site.plain_port, "MAGNET", ARCHIVE_AE)
    with site.served() as server:
        assert device.echo().exit_code != 0  # nobody knows it

        watched = typed(site, "device", "learn", "mr1", "--ip", LEGACY_ADDRESS, "--zone", "legacy", "--yes")
        assert watched.exit_code == 0, watched.err
        assert "+ learning:mr1 store archive into quarantine" in watched.out
        wait_for_reload(server, 1)

        device.echo().require()
        assert stored(reader, SERVED, tmp_path / "ct") == [SUCCESS]
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]
        assert found(device, tmp_path / "own") == []
        _, answers = device.find(
            tmp_path / "all", ["QueryRetrieveLevel=STUDY", "PatientID", "PatientName"], "-S"
        )
        assert answers == []  # though there is something to find
        assert found(reader, tmp_path / "other") == []
        elsewhere = typed(
            site, "echo", "--to", f"127.0.0.1:{site.plain_port}", "--called", ARCHIVE_AE, "--calling",
            "MAGNET", "--bind", "127.0.0.2",
        )  # fmt: skip
        assert elsewhere.exit_code != 0
        assert server.stop() == 0, server.text()

    with site.served() as server:  # what was seen outlasts a restart
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]
        proposed: Any = typed(site, "device", "learn", "mr1", "--propose", "--json").json()
        assert [(item["key"], item["value"]) for item in proposed["items"]] == [
            ("ae", "MAGNET"),
            ("makes", "MR"),
            ("can", "echo"),
            ("can", "store"),
            ("per_hour", 20),
        ]
        assert any("find was wanted 2 times" in words for words in proposed["withheld"])

        accepted = typed(site, "device", "learn", "mr1", "--propose", "--yes", "--reason", "installed")
        assert accepted.exit_code == 0, accepted.err
        assert "- learning:mr1 store archive into quarantine" in accepted.out
        wait_for_reload(server, 1)
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]
        assert found(reader, tmp_path / "after") == [MRI.uid]
        assert server.stop() == 0, server.text()

    policy = (site.home / "policy.toml").read_text(encoding="utf-8")
    assert 'mr1 = { zone = "legacy", ae = ["MAGNET"], ip = "127.0.0.1", makes = ["MR"] }' in policy
    assert [line.event.target for line in site.audit("device.learned")] == ["mr1"]
    kept, again = site.audit("instance.learned"), site.audit("instance.repeated")
    assert (len(kept), len(again)) == (2, 2)
    assert {line.event.modality for line in kept} == {"MR"}
    checked = typed(site, "check")
    assert checked.exit_code == 0, checked.out + checked.err


@pytest.fixture
def kept(site: LiveSite, tmp_path: Path) -> Iterator[Dcmtk]:
    """A reader, after a device was learned that stored two images, and was accepted."""
    reader = Dcmtk(site.tls_port, "WS1", ARCHIVE_AE, site.add_device("ws1", "modalities", "WS1"))
    site.edit_policy("\n[grants]", f"{READING}\n[grants]")
    device = Dcmtk(site.plain_port, "MAGNET", ARCHIVE_AE)
    learn(site, "--ip", LEGACY_ADDRESS, "--zone", "legacy", "--yes")
    with site.served() as server:
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]
        learn(site, "--propose", "--yes")
        wait_for_reload(server, 1)
        yield reader
        assert server.stop() == 0, server.text()


def learn(site: LiveSite, *arguments: str) -> Typed:
    ended = typed(site, "device", "learn", "mr1", *arguments)
    assert ended.exit_code == 0, ended.err
    return ended


def test_what_was_kept_of_a_device_is_served_once_it_has_a_rule(
    kept: Dcmtk, site: LiveSite, tmp_path: Path
) -> None:
    assert learn(site, "--release", "--dry-run", "--json").json() == {"kept": 2}
    assert found(kept, tmp_path / "before") == []
    released = learn(site, "--release", "--yes", "--json").json()
    assert (released["served"], released["refused"], released["damaged"]) == (2, 0, 0)
    assert found(kept, tmp_path / "after") == [MRI.uid]
    assert {line.event.instance for line in site.audit("instance.adopted")} == set(MRI.instance_uids)
    assert learn(site, "--release").err.startswith("0 objects")
    checked = typed(site, "check")
    assert checked.exit_code == 0, checked.out + checked.err


def test_what_was_kept_is_erased_where_that_is_meant(kept: Dcmtk, site: LiveSite, tmp_path: Path) -> None:
    assert learn(site, "--discard", "--yes", "--json").json() == {"erased": 2}
    assert {line.event.instance for line in site.audit("instance.erased")} == set(MRI.instance_uids)
    assert found(kept, tmp_path / "after") == []
    checked = typed(site, "check")
    assert checked.exit_code == 0, checked.out + checked.err


def test_over_tls_a_foreign_certificate_is_learned_and_proposed_to_be_pinned(
    site: LiveSite, tmp_path: Path
) -> None:
    other = make_site(tmp_path / "other")  # another archive's CA
    foreign = other.add_device("mr1", "modalities", "MAGNET")
    ours = site.add_device("ws1", "modalities", "WS1")
    credentials = Credentials(tmp_path / "foreign")
    credentials.folder.mkdir()
    for name, source in (("key.pem", foreign.key), ("cert.pem", foreign.cert), ("ca.pem", ours.ca)):
        (credentials.folder / name).write_bytes(source.read_bytes())
    device = Dcmtk(site.tls_port, "MAGNET", ARCHIVE_AE, credentials)
    with site.served() as server:
        assert device.echo().exit_code != 0
        learn(site, "--ip", LEGACY_ADDRESS, "--zone", "modalities", "--yes")
        wait_for_reload(server, 1)
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]

        accepted = learn(site, "--propose", "--yes")
        assert "fingerprint = " in accepted.out
        wait_for_reload(server, 2)
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]
        assert server.stop() == 0, server.text()
    assert [line.event.who for line in site.audit("instance.stored")] == ["mr1", "mr1"]
