"""A device that nobody knows yet: watched, kept apart, remembered, and made a rule of. With DCMTK as the device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadglass.audit.read import AuditLine
from tests.support import studies
from tests.support.dcmtk import Argument, Dcmtk
from tests.support.leadglass import Typed, leadglass
from tests.support.processes import ChildProcess
from tests.support.site import ARCHIVE_AE, LEGACY_ADDRESS, LiveSite, make_site
from tests.support.studies import Study

SUCCESS = 0x0000
MRI = studies.single(910, ("MR", 2))
KEYS: list[Argument] = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={MRI.uid}"]
READING = 'desk = { from = ["ws1"], to = "archive", can = ["echo", "find"] }\n'


@pytest.fixture
def site(tmp_path: Path) -> LiveSite:
    """A site with a workstation, and with nobody at 127.0.0.1 in plaintext."""
    site = make_site(tmp_path)
    return site


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


def lines(site: LiveSite, kind: str) -> list[AuditLine]:
    return site.audit(kind)


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
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]
        assert found(device, tmp_path / "own") == []
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
        assert any("find was wanted 1 times" in words for words in proposed["withheld"])

        accepted = typed(site, "device", "learn", "mr1", "--propose", "--yes", "--reason", "installed")
        assert accepted.exit_code == 0, accepted.err
        assert "- learning:mr1 store archive into quarantine" in accepted.out
        wait_for_reload(server, 1)
        assert stored(device, MRI, tmp_path / "mr") == [SUCCESS, SUCCESS]
        assert found(reader, tmp_path / "after") == [MRI.uid]
        assert "0xa700" not in device.find(tmp_path / "no", KEYS, "-S")[0].text.lower()
        assert server.stop() == 0, server.text()

    policy = (site.home / "policy.toml").read_text(encoding="utf-8")
    assert 'mr1 = { zone = "legacy", ae = ["MAGNET"], ip = "127.0.0.1", makes = ["MR"] }' in policy
    assert [line.event.target for line in lines(site, "device.learned")] == ["mr1"]
    kept, again = lines(site, "instance.learned"), lines(site, "instance.repeated")
    assert (len(kept), len(again)) == (2, 2)
    assert {line.event.modality for line in kept} == {"MR"}
    checked = typed(site, "check")
    assert checked.exit_code == 0, checked.out + checked.err
