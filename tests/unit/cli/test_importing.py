"""``import``, as an administrator types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leadglass.cli.output import Exit
from tests.support.command_line import Leadglass
from tests.support.imports import DCM4CHEE, ORTHANC
from tests.support.site import LiveSite


@pytest.mark.parametrize(("command", "path"), [("orthanc", ORTHANC), ("dcm4chee-ldif", DCM4CHEE)])
def test_an_import_needs_no_site_and_reports_beside_the_policy(
    leadglass: Leadglass, command: str, path: Path
) -> None:
    ended = leadglass("import", command, path)
    assert ended.code == Exit.PARTLY_DONE
    assert ended.out.startswith("# A proposal")
    assert "\tleft out\t" in ended.err
    assert "\tnarrowed\t" in ended.err


def test_an_import_with_nothing_left_out_ends_well(leadglass: Leadglass, tmp_path: Path) -> None:
    source = tmp_path / "orthanc.json"
    source.write_text('{ "DicomModalities" : { "x" : ["X", "10.0.0.1", 104] } }', encoding="utf-8")
    assert leadglass("import", "orthanc", source).code == Exit.OK


def test_json_holds_the_policy_and_the_report(leadglass: Leadglass) -> None:
    ended = leadglass("import", "orthanc", ORTHANC, "--json")
    assert ended.json["policy"].startswith("# A proposal")
    assert {"where", "what", "outcome", "became", "why"} == ended.json["report"][0].keys()
    assert ended.err == ""


def test_a_proposal_is_checked_compared_and_applied_as_any_policy(
    leadglass: Leadglass, live: LiveSite, tmp_path: Path
) -> None:
    out = tmp_path / "proposal.toml"
    made = leadglass("--home", live.home, "import", "orthanc", ORTHANC, "--out", out)
    assert (made.code, made.out) == (Exit.PARTLY_DONE, "")
    assert leadglass("--home", live.home, "zones", "check", out).code == Exit.OK
    compared = leadglass("--home", live.home, "zones", "diff", live.home / "policy.toml", out)
    assert "+ us1 store archive" in compared.out
    before = (live.home / "policy.toml").read_text(encoding="utf-8")
    assert "us1" not in before
    assert leadglass("--home", live.home, "zones", "apply", out, "--yes").code == Exit.OK
    allowed = leadglass("--home", live.home, "zones", "allow", "ct-room-1", "store", "--yes")
    assert allowed.code == Exit.OK
    explained = leadglass("--home", live.home, "zones", "explain", "ct-room-1 store")
    assert explained.code == Exit.OK
    renewed = leadglass("--home", live.home, "device", "renew", "ws1", "--out", tmp_path / "ws1", "--yes")
    assert renewed.code == Exit.OK
    assert (tmp_path / "ws1" / "cert.pem").exists()


def test_the_policy_of_a_site_is_not_written_over(leadglass: Leadglass, live: LiveSite) -> None:
    policy = live.home / "policy.toml"
    before = policy.read_bytes()
    ended = leadglass("import", "orthanc", ORTHANC, "--out", policy)
    assert ended.code == Exit.ERROR
    assert "not overwritten" in ended.err
    assert policy.read_bytes() == before


def test_a_file_that_cannot_be_read_is_named_with_its_line(leadglass: Leadglass, tmp_path: Path) -> None:
    source = tmp_path / "orthanc.json"
    source.write_text('{\n"DicomPort" : ${PORT} }', encoding="utf-8")
    ended = leadglass("import", "orthanc", source)
    assert ended.code == Exit.ERROR
    assert "orthanc.json:2: " in ended.err.replace("\n", "")
    assert leadglass("import", "dcm4chee-ldif", tmp_path / "none").code == Exit.ERROR


def test_what_a_file_says_cannot_steer_the_terminal(leadglass: Leadglass, tmp_path: Path) -> None:
    source = tmp_path / "orthanc.json"
    source.write_text(json.dumps({"DicomAet": "\x1b[2J", "\x1b]0;x": {"a": 1}}), encoding="utf-8")
    ended = leadglass("import", "orthanc", source)
    assert "\x1b" not in ended.err + ended.out


def test_what_no_encoding_can_say_is_replaced(leadglass: Leadglass, tmp_path: Path) -> None:
    source = tmp_path / "orthanc.json"
    source.write_text('{ "DicomAet" : "\\ud800", "\\udfff" : { "a" : 1 } }', encoding="utf-8")
    ended = leadglass("import", "orthanc", source, "--json")
    assert ended.code == Exit.PARTLY_DONE
    assert "\\ud" not in ended.out
