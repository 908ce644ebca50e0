"""Whatever becomes of the counters in the index, ``check`` finds it and ``check --repair`` mends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from leadglass.app import Home, local_site
from leadglass.dataset.synthetic import PATIENTS, Modality, synthetic_study
from tests.support.archive_rig import ct_images
from tests.support.command_line import Leadglass, command_line
from tests.support.site import LiveSite, make_site
from tests.support.stored import store_in_process, study_of

LEVELS = ("patient", "study", "series", "instance")
FIRST = ct_images(3)
SECOND = list(synthetic_study(7, Modality.CT, PATIENTS[1], instances=2, rows=16, columns=16))

SPOILED = [
    "UPDATE patient SET study_count = study_count + 1",
    "UPDATE patient SET series_count = 0",
    "UPDATE patient SET instance_count = instance_count - 1",
    "UPDATE study SET series_count = 99",
    "UPDATE study SET instance_count = -1",
    "UPDATE study SET instance_count = 'many'",
    """UPDATE study SET modalities = '["CT","US"]'""",
    "UPDATE study SET modalities = '['",
    "UPDATE study SET sop_classes = '[]'",
    "UPDATE series SET instance_count = instance_count * 2",
    "UPDATE series SET sop_classes = '[\"1.2.3\"]'",
    "UPDATE series SET instance_count = 0, sop_classes = '['",
]


@pytest.fixture
def leadglass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Leadglass:
    return command_line(monkeypatch, capsys)


@pytest.fixture
def site(tmp_path: Path) -> LiveSite:
    """Two studies of two patients."""
    live = make_site(tmp_path)
    store_in_process(live, [*FIRST, *SECOND])
    return live


def sql(site: LiveSite, *statements: str) -> None:
    with local_site(Home(site.home)) as opened, opened.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rows(site: LiveSite) -> dict[str, list[Any]]:
    """All that the levels hold."""
    with local_site(Home(site.home)) as opened, opened.engine.begin() as connection:
        return {
            table: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))]  # noqa: S608  our own names
            for table in LEVELS
        }


def whats(found: Any) -> list[str]:
    return [damage["what"] for damage in found["damages"]]


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_spoiled_counter_is_found_and_mended(leadglass: Leadglass, site: LiveSite, spoil: str) -> None:
    before = rows(site)
    sql(site, spoil)
    column = spoil.split(" SET ")[1].split(" ", maxsplit=1)[0]
    found = leadglass("--home", site.home, "check", "--json")
    assert found.code == 5
    assert all(what.startswith("index: a ") for what in whats(found.json))
    assert any(f" keeps {column} " in what for what in whats(found.json))
    assert len({(each["level"], each["row"]) for each in found.json["miscounts"]}) == 2
    mended = leadglass("--home", site.home, "check", "--repair", "--json")
    assert (mended.code, mended.json["recounted"]) == (5, 2)
    assert mended.json["set_aside"] == []
    assert leadglass("--home", site.home, "check").code == 0
    assert rows(site) == before
    [line] = site.audit("index.recounted")
    assert line.event.count == 2


def test_every_counter_at_once(leadglass: Leadglass, site: LiveSite) -> None:
    before = rows(site)
    spoiled = [each for each in SPOILED if "'['" not in each]
    sql(site, *spoiled)
    assert leadglass("--home", site.home, "check", "--repair").code == 5
    assert leadglass("--home", site.home, "check").code == 0
    assert rows(site) == before


def a_study_without_series(site: LiveSite) -> None:
    columns = "study_date, study_time, accession_number, modalities, sop_classes, attributes"
    sql(
        site,
        f"INSERT INTO study (patient, study_uid, site, series_count, instance_count, {columns})"  # noqa: S608  our own names
        f" SELECT patient, '1.2.3', site, 0, 0, {columns} FROM study LIMIT 1",
    )


def a_patient_without_studies(site: LiveSite) -> None:
    columns = "authority, name_alphabetic, birth_date, attributes"
    sql(
        site,
        f"INSERT INTO patient (patient_id, study_count, series_count, instance_count, {columns})"  # noqa: S608  our own names
        f" SELECT 'NOBODY', 0, 0, 0, {columns} FROM patient LIMIT 1",
    )


@pytest.mark.parametrize("harm", [a_study_without_series, a_patient_without_studies])
def test_a_level_with_nothing_in_it_is_found_and_goes(
    leadglass: Leadglass, site: LiveSite, harm: Callable[[LiveSite], None]
) -> None:
    before = rows(site)
    harm(site)
    found = leadglass("--home", site.home, "check", "--json")
    assert found.code == 5
    assert any("has nothing in it" in what for what in whats(found.json))
    assert leadglass("--home", site.home, "check", "--repair").code == 5
    assert leadglass("--home", site.home, "check").code == 0
    assert rows(site) == before


def test_a_miscount_names_its_study_and_patient(leadglass: Leadglass, site: LiveSite) -> None:
    sql(site, "UPDATE series SET instance_count = 7 WHERE id = 1")
    [damage] = leadglass("--home", site.home, "check", "--json").json["damages"]
    assert damage["study"] == study_of(FIRST[0])
    assert damage["series"]
    assert (damage["instance"], damage["patient_id"]) == ("", PATIENTS[0].patient_id)


def test_a_running_server_counts_on_from_what_was_mended(leadglass: Leadglass, site: LiveSite) -> None:
    sql(site, "UPDATE study SET instance_count = 50")
    with site.served() as server:
        assert leadglass("--home", site.home, "check", "--repair").code == 5
        assert leadglass("--home", site.home, "check").code == 0
        assert server.stop() == 0
    store_in_process(site, ct_images(5)[3:], again=True)
    assert leadglass("--home", site.home, "check").code == 0
