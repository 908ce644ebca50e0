"""``check``, as an administrator types it: what is hit, whose it is, and where another copy may be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from leadglass.app import Home, local_site
from leadglass.cli.output import Exit
from leadglass.dataset.synthetic import PATIENTS
from tests.support.archive_rig import ct_images
from tests.support.command_line import Leadglass
from tests.support.site import LiveSite
from tests.support.stored import store_in_process, study_of

ITEMS = ct_images(3)
STUDY = study_of(ITEMS[0])
PATIENT = PATIENTS[0]


@pytest.fixture
def home(live: LiveSite) -> Path:
    store_in_process(live, ITEMS)
    return live.home


@pytest.fixture
def damaged(home: Path) -> Path:
    """The first object has a bit the other way round."""
    [segment] = (home / "segments").glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[200] ^= 1
    segment.write_bytes(content)
    return home


def sql(home: Path, *statements: str) -> None:
    with local_site(Home(home)) as site, site.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_json_names_patient_study_and_sender_of_the_object_hit(leadglass: Leadglass, damaged: Path) -> None:
    ended = leadglass("--home", damaged, "check", "--json")
    assert ended.code == Exit.INTEGRITY_BROKEN
    [damage] = ended.json["damages"]
    assert damage["instance"] == ITEMS[0].sop_instance
    assert (damage["study"], damage["received_from"]) == (STUDY, "ct1")
    assert (damage["patient_id"], damage["patient_name"]) == (PATIENT.patient_id, PATIENT.name)
    assert len(damage["study_date"]) == len("20240115")
    assert damage["study_description"]


def test_a_terminal_shows_patient_study_and_sender_of_the_object_hit(
    leadglass: Leadglass, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ended = leadglass("--home", damaged, "check")
    said = " ".join(ended.err.split())
    assert f"(patient {PATIENT.patient_id}, name {PATIENT.name}, study of " in said
    assert f"study {STUDY}, series " in said
    assert f"instance {ITEMS[0].sop_instance}; another copy may be at its sender, ct1)" in said


def test_what_may_be_a_log_names_nobody_and_says_where_they_are_named(
    leadglass: Leadglass, damaged: Path
) -> None:
    ended = leadglass("--home", damaged, "check")
    assert f"(study {STUDY}, series " in ended.err
    assert PATIENT.patient_id not in ended.err + ended.out
    assert PATIENT.name not in ended.err + ended.out
    assert "patients are named on a terminal, and with --json" in ended.err


def test_no_line_of_the_audit_trail_names_the_patient(
    leadglass: Leadglass, damaged: Path, live: LiveSite
) -> None:
    leadglass("--home", damaged, "check", "--repair", "--json")
    lines = live.audit()
    assert "instance.aside" in [line.event.kind for line in lines]
    assert PATIENT.name not in repr(lines)


def test_an_index_that_names_nobody_hides_no_damage(leadglass: Leadglass, damaged: Path) -> None:
    sql(damaged, "ALTER TABLE binned RENAME COLUMN attributes TO elsewhere")
    ended = leadglass("--home", damaged, "check", "--json")
    assert ended.code == Exit.INTEGRITY_BROKEN
    [damage] = ended.json["damages"]
    assert (damage["study"], damage["patient_id"]) == (STUDY, "")
    assert "no patient is named" in ended.err


def test_status_points_to_check_and_names_nobody(leadglass: Leadglass, damaged: Path) -> None:
    sql(
        damaged,
        "INSERT INTO damaged SELECT object_id, sop_instance, study_uid, 'rotten', 0"
        " FROM instance JOIN series ON series.id = series JOIN study ON study.id = study LIMIT 1",
    )
    ended = leadglass("--home", damaged, "status")
    assert ended.code == Exit.FINDINGS
    assert f"study {STUDY}" in ended.err
    assert "'leadglass check' names the patients" in ended.err
    assert PATIENT.patient_id not in ended.err + ended.out
