"""``delete``, ``bin`` and ``hold``, as an administrator types them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leadglass.app import Home
from leadglass.cli.output import Exit
from leadglass.cli.running import serving_lock
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.storage.keys import FileKeyProvider
from tests.support.archive_rig import ct_images
from tests.support.command_line import Leadglass
from tests.support.site import LiveSite
from tests.support.stored import store_in_process, study_of

STUDY = study_of(ct_images(1)[0])
WHY = ("--reason", "asked by the patient")


@pytest.fixture
def items() -> list[SyntheticInstance]:
    return ct_images(3)


@pytest.fixture
def home(live: LiveSite, items: list[SyntheticInstance]) -> Path:
    store_in_process(live, items)
    return live.home


def counts(leadglass: Leadglass, home: Path) -> tuple[int, int]:
    found = leadglass("--home", home, "status", "--json").json["counts"]
    return found["instances"], found["binned"]


def test_a_study_goes_to_the_bin_and_comes_back(
    leadglass: Leadglass, home: Path, items: list[SyntheticInstance], live: LiveSite
) -> None:
    study = STUDY
    shown = leadglass("--home", home, "delete", "study", study, *WHY, "--dry-run")
    assert (shown.code, counts(leadglass, home)) == (Exit.OK, (3, 0))
    assert "instances  3" in shown.out
    deleted = leadglass("--home", home, "delete", "study", study, *WHY, "--yes", "--json")
    assert deleted.json["deleted"] == 3
    assert counts(leadglass, home) == (0, 3)
    [listed] = leadglass("--home", home, "bin", "list", "--json").json
    assert (listed["study_uid"], listed["instances"], listed["reason"]) == (study, 3, WHY[1])
    assert leadglass("--home", home, "check").code == Exit.OK
    restored = leadglass("--home", home, "bin", "restore", "--study", study)
    assert restored.code == Exit.OK
    assert counts(leadglass, home) == (3, 0)
    kinds = [line.event.kind for line in live.audit() if line.event.kind.startswith("study.")]
    assert kinds == ["study.deleted", "study.restored"]


def test_what_is_erased_never_comes_back_and_check_finds_nothing_wrong(
    leadglass: Leadglass, home: Path, items: list[SyntheticInstance], live: LiveSite
) -> None:
    leadglass("--home", home, "delete", "instance", items[0].sop_instance, *WHY, "--yes")
    emptied = leadglass("--home", home, "bin", "empty", "--json")
    assert emptied.json == {"condemned": 0, "erased": 0, "left_to_the_server": False}
    emptied = leadglass("--home", home, "bin", "empty", "--study", STUDY, "--yes", "--json")
    assert emptied.json == {"condemned": 1, "erased": 1, "left_to_the_server": False}
    assert counts(leadglass, home) == (2, 0)
    gone = leadglass("--home", home, "bin", "restore", "--study", STUDY)
    assert gone.code == Exit.ERROR
    checked = leadglass("--home", home, "check", "--json")
    assert checked.code == Exit.OK
    assert checked.json["unacknowledged"] == 0
    erased = [line.event.instance for line in live.audit("instance.erased")]
    assert erased == [items[0].sop_instance]
    store_in_process(live, items[:1], again=True)
    assert leadglass("--home", home, "check").code == Exit.OK
    assert counts(leadglass, home) == (3, 0)


def test_while_a_server_runs_erasure_is_left_to_it(
    leadglass: Leadglass, home: Path, items: list[SyntheticInstance]
) -> None:
    leadglass("--home", home, "delete", "study", STUDY, *WHY, "--yes")
    with serving_lock(Home(home)):
        emptied = leadglass("--home", home, "bin", "empty", "--study", STUDY, "--yes")
    assert emptied.code == Exit.OK
    assert "the running server erases them" in emptied.err


def test_a_legal_hold_refuses_with_who_and_why(
    leadglass: Leadglass, home: Path, items: list[SyntheticInstance]
) -> None:
    study = STUDY
    assert leadglass("--home", home, "hold", "add", study, "--reason", "case 7").code == Exit.OK
    again = leadglass("--home", home, "hold", "add", study, "--reason", "case 8")
    assert "already" in again.err
    refused = leadglass("--home", home, "delete", "study", study, *WHY, "--yes")
    assert refused.code == Exit.ERROR
    assert "case 7" in refused.err
    [hold] = leadglass("--home", home, "hold", "list", "--json").json
    assert hold["reason"] == "case 7"
    assert study in leadglass("--home", home, "hold", "list").out
    assert leadglass("--home", home, "hold", "remove", study, "--reason", "closed").code == Exit.OK
    assert leadglass("--home", home, "hold", "remove", study, "--reason", "closed").code == Exit.ERROR
    assert leadglass("--home", home, "delete", "study", study, *WHY, "--yes").code == Exit.OK
    assert study in leadglass("--home", home, "bin", "list").out


@pytest.mark.parametrize("reason", ["", "   ", "a\nb", "x" * 201])
def test_without_a_reason_that_can_be_kept_nothing_is_deleted(
    leadglass: Leadglass, home: Path, items: list[SyntheticInstance], reason: str
) -> None:
    refused = leadglass("--home", home, "delete", "study", STUDY, "--reason", reason, "--yes")
    assert refused.code == Exit.ERROR
    assert "say why" in refused.err
    assert counts(leadglass, home) == (3, 0)


def test_what_is_not_there_and_what_is_no_uid_is_said(leadglass: Leadglass, home: Path) -> None:
    for word, level in (("study", "study"), ("series", "series"), ("instance", "image")):
        missing = leadglass("--home", home, "delete", word, "1.2.3", *WHY, "--yes")
        assert (missing.code, f"serves no {level} 1.2.3" in missing.err) == (Exit.ERROR, True)
    wrong = leadglass("--home", home, "delete", "study", "no uid", *WHY, "--yes")
    assert (wrong.code, "is no UID" in wrong.err) == (Exit.ERROR, True)
    assert leadglass("--home", home, "bin", "restore").code == Exit.USAGE


def test_a_damaged_object_is_set_aside_and_stored_anew_when_it_is_sent_again(
    leadglass: Leadglass, home: Path, items: list[SyntheticInstance], live: LiveSite
) -> None:
    leadglass("--home", home, "hold", "add", STUDY, "--reason", "case 7")
    [segment] = (home / "segments").glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[200] ^= 1
    segment.write_bytes(content)
    found = leadglass("--home", home, "check", "--json")
    assert (found.code, found.json["damage_count"]) == (Exit.INTEGRITY_BROKEN, 1)
    assert counts(leadglass, home) == (3, 0)
    mended = leadglass("--home", home, "check", "--repair")
    assert mended.code == Exit.INTEGRITY_BROKEN
    assert f"set aside: instance {items[0].sop_instance}" in mended.err
    assert counts(leadglass, home) == (2, 1)
    store_in_process(live, items[:1], again=True)
    assert counts(leadglass, home) == (3, 1)
    sound = leadglass("--home", home, "check", "--json")
    assert (sound.code, sound.json["damaged_in_bin"]) == (Exit.OK, 1)
    [listed] = leadglass("--home", home, "bin", "list", "--json").json
    assert listed["reason"].startswith("damaged: ")
    [line] = live.audit("instance.aside")
    assert line.event.instance == items[0].sop_instance
    leadglass("--home", home, "hold", "remove", STUDY, "--reason", "closed")
    emptied = leadglass("--home", home, "bin", "empty", "--study", STUDY, "--yes", "--json")
    assert emptied.json["erased"] == 1
    assert leadglass("--home", home, "check").code == Exit.OK


def test_an_object_whose_key_is_missing_is_not_set_aside(leadglass: Leadglass, home: Path) -> None:
    before = next(iter((home / "keys").glob("site-*.key")))
    FileKeyProvider(home / "keys").renew(os.urandom)
    before.rename(home / "elsewhere")
    ended = leadglass("--home", home, "check", "--repair", "--json")
    assert ended.code == Exit.INTEGRITY_BROKEN
    assert (ended.json["damage_count"], ended.json["set_aside"]) == (3, [])
    (home / "elsewhere").rename(before)
    assert leadglass("--home", home, "check").code == Exit.OK
