"""Rules that reach some objects and show some attributes, seen by DCMTK: nothing beyond them comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.dcmtk import Argument, Dcmtk, storescp
from tests.support.ports import LOOPBACK, free_port
from tests.support.site import ARCHIVE_AE, make_site
from tests.support.studies import Study

SUCCESS, NOT_AUTHORIZED = 0x0000, 0x0124
OLD, NEW = (f"{datetime.now(UTC) - timedelta(days=days):%Y%m%d}" for days in (400, 3))
OF_CT = Study(71, "MIN1", "Smith^Ann", "ISO_IR 100", OLD, "080000", (("CT", 2), ("MR", 1)))
OF_US = Study(72, "MIN2", "Jones^Bea", "ISO_IR 100", NEW, "090000", (("CT", 1),))
KEYS: list[Argument] = [
    "QueryRetrieveLevel=STUDY",
    "StudyInstanceUID",
    "StudyDate",
    "PatientName",
    "PatientID",
]
IMAGES: list[Argument] = ["QueryRetrieveLevel=IMAGE", "SOPInstanceUID"]

FLOWS = """
own     = { from = ["ct1"], to = "archive", can = ["find", "get"], only = "own" }
classes = { from = ["mrdesk"], to = "archive", can = ["find", "get"], only = "sop_class:MRImageStorage" }
recent  = { from = ["board"], to = "archive", can = ["find"], newer_than = "90d", show = ["StudyDate"] }
mover   = { from = ["mover"], to = "archive", can = ["move"] }
past    = { from = ["archive"], to = "pacs2", can = ["store"], older_than = "90d" }
"""


@dataclass(frozen=True, slots=True)
class Narrow:
    """A site whose readers each see a part, and the port where ``pacs2`` listens."""

    port: int
    pacs2_port: int

    def as_device(self, ae: str) -> Dcmtk:
        return Dcmtk(self.port, ae, ARCHIVE_AE)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Narrow]:
    folder = tmp_path_factory.mktemp("narrow")
    site = make_site(folder)
    port = free_port()
    for name in ("ct1", "us1", "mrdesk", "board", "mover"):
        site.add_device(name, "legacy", name.upper())
    site.add_device("pacs2", "legacy", "PACS2", address=f"{LOOPBACK}:{port}")
    site.edit_policy("\n[grants]", f"{FLOWS}\n[grants]")
    with site.served() as server:
        running = Narrow(site.plain_port, port)
        for ae, study in (("CT1", OF_CT), ("US1", OF_US)):
            running.as_device(ae).store(study.write(folder / ae), "-xe").require()
        yield running
        assert server.stop() == 0, server.text()


def of_study(study: Study, level: str = "STUDY") -> list[Argument]:
    return [f"QueryRetrieveLevel={level}", f"StudyInstanceUID={study.uid}"]


def found(reader: Dcmtk, out: Path, keys: list[Argument] = KEYS) -> set[str]:
    ran, answers = reader.find(out, keys, "-S")
    assert ran.require().statuses()[-1] == SUCCESS
    return {str(answer.StudyInstanceUID) for answer in answers}


def test_device_finds_and_gets_what_it_sent_and_no_more(narrow: Narrow, out: Path) -> None:
    scanner = narrow.as_device("CT1")
    assert found(scanner, out) == {OF_CT.uid}
    scanner.get(out / "own", of_study(OF_CT), "-S").require()
    assert len(list((out / "own").iterdir())) == 3
    scanner.get(out / "other", of_study(OF_US), "-S")
    assert list((out / "other").iterdir()) == []


def test_image_added_to_somebody_s_study_opens_that_image_only(
    narrow: Narrow, out: Path, tmp_path: Path
) -> None:
    intruder = replace(OF_US, series=(("CT", 1), ("CT", 1)))
    narrow.as_device("CT1").store(intruder.write(tmp_path)[1:], "-xe").require()
    for series, seen in ((1, 0), (2, 1)):
        keys = [*of_study(OF_US, "IMAGE"), f"SeriesInstanceUID={OF_US.series_uid(series)}", "SOPInstanceUID"]
        _, answers = narrow.as_device("CT1").find(out / str(series), keys, "-S")
        assert len(answers) == seen
    narrow.as_device("CT1").get(out / "got", of_study(OF_US), "-S").require()
    assert len(list((out / "got").iterdir())) == 1


def test_reader_of_one_class_counts_and_gets_that_class(narrow: Narrow, out: Path) -> None:
    reader = narrow.as_device("MRDESK")
    keys = [*KEYS, "NumberOfStudyRelatedInstances", "ModalitiesInStudy"]
    _, (answer,) = reader.find(out, keys, "-S")
    assert (answer.NumberOfStudyRelatedInstances, answer.ModalitiesInStudy) == (1, "MR")
    reader.get(out / "got", of_study(OF_CT), "-S").require()
    assert len(list((out / "got").iterdir())) == 1


def test_board_sees_recent_dates_and_no_names(narrow: Narrow, out: Path) -> None:
    ran, (answer,) = narrow.as_device("BOARD").find(out, KEYS, "-S")
    assert ran.statuses()[-1] == SUCCESS
    assert (answer.StudyInstanceUID, answer.StudyDate) == (OF_US.uid, NEW)
    assert (str(answer.PatientName), answer.PatientID) == ("", "")


@pytest.mark.parametrize("key", ["PatientName=Jones*", "PatientID=MIN2"])
def test_board_cannot_ask_whether_somebody_was_here(narrow: Narrow, out: Path, key: str) -> None:
    ran, answers = narrow.as_device("BOARD").find(out, [*KEYS[:3], key], "-S")
    assert ran.statuses()[-1] == NOT_AUTHORIZED
    assert answers == []


def test_only_old_studies_go_out(narrow: Narrow, tmp_path: Path) -> None:
    mover = narrow.as_device("MOVER")
    with storescp(tmp_path / "pacs2", "PACS2", "+xa", port=narrow.pacs2_port) as pacs2:
        ran = mover.move("PACS2", of_study(OF_US), "-S")
        assert ran.statuses()[-1] == NOT_AUTHORIZED
        assert pacs2.connections() == 0
        mover.move("PACS2", of_study(OF_CT), "-S").require()
        assert len(pacs2.received()) == 3
