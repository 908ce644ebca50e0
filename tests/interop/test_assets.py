"""The asset register, filled by DCMTK: what a device says of itself, what it does, and what should worry."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.support import studies
from tests.support.dcmtk import Dcmtk
from tests.support.leadglass import leadglass
from tests.support.ports import LOOPBACK
from tests.support.site import ARCHIVE_AE, LiveSite, make_site

SCAN = studies.single(940, ("CT", 3))


@pytest.fixture
def site(tmp_path: Path) -> LiveSite:
    return make_site(tmp_path)


def test_register_holds_what_devices_said_and_did_and_nothing_of_a_stranger(
    site: LiveSite, tmp_path: Path
) -> None:
    scanner = Dcmtk(site.tls_port, "CT1", ARCHIVE_AE, site.add_device("ct1", "modalities", "CT1"))
    old = Dcmtk(site.plain_port, "US1", ARCHIVE_AE)
    site.add_device("us1", "legacy", "US1")
    with site.served() as server:
        assert set(scanner.store(SCAN.write(tmp_path / "scan"), "-xe").require().statuses()) == {0}
        assert set(old.store(studies.single(941).write(tmp_path / "us"), "-xe").require().statuses()) == {0}
        Dcmtk(site.plain_port, "ROGUE", ARCHIVE_AE).echo()
        first = leadglass(site.home, "device", "show", "ct1", "--json").json()
        again = leadglass(site.home, "device", "show", "ct1", "--json").json()
        risk = leadglass(site.home, "device", "list", "--risk", "--json").json()
        text = leadglass(site.home, "device", "list", "--risk").out
        shown = [line.split() for line in leadglass(site.home, "device", "show", "us1").out.splitlines()]
        assert server.stop() == 0, server.text()
    (implementation,) = first["facts"]["implementation"]
    assert "OFFIS_DCMTK_" in implementation
    assert next(iter(first["facts"]["tls"])).startswith("TLSv1.")
    assert list(first["facts"]["certificate until"]) == [first["row"]["not_after"][:10]]
    assert list(first["facts"]["ae"]) == ["CT1"]
    assert first["volumes"]["store"]["count"] == 3
    sent_bytes = sum(path.stat().st_size for path in SCAN.write(tmp_path / "again"))
    assert 0 < first["volumes"]["store"]["size_bytes"] < sent_bytes
    assert again["volumes"] == first["volumes"]
    assert {each["row"]["name"] for each in risk} == {"ct1", "us1"}
    assert risk[0]["row"]["name"] == "us1"
    assert "plaintext in zone legacy" in text
    assert ["ip", LOOPBACK] in shown
    assert ["makes", "anything"] in shown
    assert "ROGUE" not in text


def test_device_that_nobody_knows_is_told_so(site: LiveSite) -> None:
    shown = leadglass(site.home, "device", "show", "ct9")
    assert shown.exit_code == 1
    assert "no device 'ct9' in the policy" in shown.err


def test_overdue_review_refuses_and_tells_the_owner_in_log_status_and_audit(
    site: LiveSite, tmp_path: Path
) -> None:
    old = Dcmtk(site.plain_port, "US1", ARCHIVE_AE)
    site.add_device("us1", "legacy", "US1")
    policy = site.home / "policy.toml"
    text, dates = re.subn(r"review_by = [0-9-]+", "review_by = 2026-01-31", policy.read_text())
    text, owners = re.subn(r'(us1\s*=\s*\{ zone = "legacy",)', r'\1 owner = "maternity",', text)
    assert (dates, owners) == (1, 1)
    policy.write_text(text)
    told = "the review of zones.legacy was due 2026-01-31; what it permits is refused; owner: maternity"
    for _ in range(2):  # the second start does not record it again
        with site.served() as server:
            deadline_s = time.monotonic() + 20
            while not (told in server.text() and site.audit("review.overdue")):
                assert time.monotonic() < deadline_s, server.text()
                time.sleep(0.05)
            assert old.echo().exit_code != 0
            ended = leadglass(site.home, "status")
            for_a_script = leadglass(site.home, "status", "--json")
            assert server.stop() == 0, server.text()
        assert ended.exit_code == for_a_script.exit_code == 3
        assert told in " ".join(ended.err.split())
    (line,) = site.audit("review.overdue")
    assert told == line.event.reason
    assert "review" in site.audit("association.refused")[-1].event.reason
    assert leadglass(site.home, "audit", "verify").exit_code == 0
