"""DCMTK and pynetdicom walk through the patients, whatever way, and are stopped by the budget of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from leadglass.model.decision import RungState, Step
from leadglass.model.event import AuditEvent, Outcome
from leadglass.protocol.services import STUDY_ROOT_FIND
from tests.support.dcmtk import Argument, Dcmtk, storescp
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ChildProcess
from tests.support.pynetdicom_peer import Pynetdicom, identifier
from tests.support.site import ARCHIVE_AE, LiveSite, make_site
from tests.support.studies import Study

SUCCESS, PENDING, NOT_AUTHORIZED = 0x0000, 0xFF00, 0x0124
PATIENTS, BUDGET = 40, 10
WALKERS = ("wildcard", "ranges", "singly", "getter", "mover", "python", "alerted", "lister")
FLOWS = f"""
harvest = {{ from = [{", ".join(f'"{name}"' for name in WALKERS)}], to = "archive", \
can = ["find", "get", "move"], per_hour = {{ patients = {BUDGET} }} }}
desk = {{ from = ["reader"], to = "archive", can = ["find", "get", "move"] }}
deliver = {{ from = ["archive"], to = "pacs", can = ["store"] }}
"""


def study_of(number: int) -> Study:
    """One CT image of a patient of its own, a day for each."""
    date = f"2024{1 + number // 20:02}{1 + number % 20:02}"
    return Study(
        900 + number, f"HV{number:02}", f"Harvest^{number}", "ISO_IR 100", date, "080000", (("CT", 1),)
    )


@dataclass(frozen=True, slots=True)
class Ward:
    """A site of forty patients, and workstations that each have their own hour. ``pacs`` is a destination."""

    site: LiveSite
    server: ChildProcess
    pacs_port: int

    def dcmtk(self, name: str) -> Dcmtk:
        return Dcmtk(self.site.plain_port, name.upper(), ARCHIVE_AE)

    def pynetdicom(self, name: str) -> Pynetdicom:
        return Pynetdicom(self.site.plain_port, name.upper(), ARCHIVE_AE)

    def lines(self, kind: str, who: str) -> list[AuditEvent]:
        return [line.event for line in self.site.audit(kind) if line.event.who == who]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    site = make_site(tmp_path_factory.mktemp("ward"))
    scanner = site.add_device("ct1", "modalities", "CT1")
    port = free_port()
    for name in (*WALKERS, "reader"):
        site.add_device(name, "legacy", name.upper())
    site.add_device("pacs", "legacy", "PACS", address=f"{LOOPBACK}:{port}")
    site.edit_policy("\n[grants]", f"{FLOWS}\n[grants]")
    written = [path for number in range(PATIENTS) for path in study_of(number).write(site.folder / "studies")]
    with site.served() as server:
        Dcmtk(site.tls_port, "CT1", ARCHIVE_AE, scanner).store(written, "-xe").require()
        yield Ward(site, server, port)
        assert server.stop() == 0, server.text()
    assert "Traceback" not in server.text(), server.text()
    assert "Harvest^" not in server.text()


def found(reader: Dcmtk, out: Path, *keys: Argument) -> tuple[set[str], int]:
    """The patients told, and the last status."""
    asked: list[Argument] = ["QueryRetrieveLevel=STUDY", "PatientID", *keys]
    ran, answers = reader.find(out, asked, "-S")
    return {str(answer.PatientID) for answer in answers}, ran.statuses()[-1]


def by_patient(number: int) -> list[Argument]:
    return ["QueryRetrieveLevel=PATIENT", f"PatientID=HV{number:02}"]


def test_by_wildcard_no_more_is_told_than_the_budget(ward: Ward, out: Path) -> None:
    told, status = found(ward.dcmtk("wildcard"), out, "PatientName=H*")
    assert (len(told), status) == (BUDGET, NOT_AUTHORIZED)
    more, status = found(ward.dcmtk("wildcard"), out / "more", "PatientID=HV39")
    assert (more, status) == (set(), NOT_AUTHORIZED)


def test_by_ranges_of_dates_as_well(ward: Ward, out: Path) -> None:
    told: set[str] = set()
    statuses = []
    for number in range(5):
        days = f"StudyDate=202401{1 + 4 * number:02}-202401{4 + 4 * number:02}"
        some, status = found(ward.dcmtk("ranges"), out / str(number), days)
        told |= some
        statuses.append(status)
    assert statuses == [SUCCESS, SUCCESS, NOT_AUTHORIZED, NOT_AUTHORIZED, NOT_AUTHORIZED]
    assert len(told) == BUDGET


def test_one_by_one_as_well(ward: Ward, out: Path) -> None:
    ends = [
        found(ward.dcmtk("singly"), out / str(number), f"PatientID=HV{number:02}")
        for number in range(BUDGET + 3)
    ]
    assert [status for _, status in ends] == [SUCCESS] * BUDGET + [NOT_AUTHORIZED] * 3
    assert [len(told) for told, _ in ends] == [1] * BUDGET + [0] * 3


def test_fetching_one_by_one_as_well(ward: Ward, out: Path) -> None:
    for number in range(BUDGET):
        got = ward.dcmtk("getter").get(out, by_patient(number), "-P")
        assert got.statuses()[-1] == SUCCESS
    refused = ward.dcmtk("getter").get(out, by_patient(BUDGET), "-P")
    assert NOT_AUTHORIZED in refused.statuses()
    assert len(list(out.iterdir())) == BUDGET
    again = ward.dcmtk("getter").get(out / "again", by_patient(0), "-P")
    assert again.statuses()[-1] == SUCCESS


def test_moving_many_at_once_as_well(ward: Ward, tmp_path: Path) -> None:
    uids = "\\".join(study_of(number).uid for number in range(BUDGET + 1))
    with storescp(tmp_path / "pacs", "PACS", "+xa", port=ward.pacs_port) as pacs:
        moved = ward.dcmtk("mover").move(
            "PACS", ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={uids}"], "-S"
        )
        assert NOT_AUTHORIZED in moved.statuses()
        assert pacs.received() == {}
        for number in range(BUDGET):
            ward.dcmtk("mover").move("PACS", by_patient(number), "-P").require()
        assert len(pacs.received()) == BUDGET
        refused = ward.dcmtk("mover").move("PACS", by_patient(BUDGET), "-P")
        assert NOT_AUTHORIZED in refused.statuses()
        assert len(pacs.received()) == BUDGET


def test_several_queries_of_one_association_as_well(ward: Ward) -> None:
    with ward.pynetdicom("python").association([STUDY_ROOT_FIND]) as association:
        statuses = []
        for number in range(BUDGET + 2):
            query = identifier("STUDY", PatientID=f"HV{number:02}", StudyInstanceUID="")
            answers: list[tuple[Dataset, Dataset | None]] = list(
                association.send_c_find(query, STUDY_ROOT_FIND)
            )
            statuses.append([status.Status for status, _ in answers])
    assert statuses == [[PENDING, SUCCESS]] * BUDGET + [[NOT_AUTHORIZED]] * 2


def test_the_alert_is_in_the_audit_and_in_the_log_once_and_each_refusal_too(ward: Ward, out: Path) -> None:
    for number in range(3):
        found(ward.dcmtk("alerted"), out / str(number), "PatientName=H*")
    [alert] = ward.lines("budget.exceeded", "alerted")
    assert (alert.outcome, alert.verb, alert.rule) == (Outcome.ALERT, "find", "flow harvest")
    assert alert.reason == f"budget: over {BUDGET} patients this hour"
    assert alert.calling_ae == "ALERTED"
    assert next(rung.step for rung in alert.ladder if rung.state is RungState.FAILED) is Step.BUDGET
    denied = ward.lines("operation.find", "alerted")
    assert Outcome.DENIED in {event.outcome for event in denied}
    answered = [event for event in ward.lines("query.answered", "alerted") if event.count == BUDGET]
    assert [event.outcome for event in answered] == [Outcome.FAILED]
    assert (
        sum(
            '"who": "alerted"' in line and "budget exceeded" in line
            for line in ward.server.text().split("\n")
        )
        == 1
    )


def test_who_has_no_budget_of_their_own_reads_as_ever_whatever_others_did(ward: Ward, out: Path) -> None:
    """Everybody, by every way, again and again: far below what is built in."""
    found(ward.dcmtk("lister"), out / "lister", "PatientName=H*")
    reader = ward.dcmtk("reader")
    for turn in range(3):
        told, status = found(reader, out / f"find{turn}", "PatientName=H*")
        assert (len(told), status) == (PATIENTS, SUCCESS)
        for number in range(0, PATIENTS, 10):
            got = reader.get(out / f"get{turn}", by_patient(number), "-P")
            assert got.statuses()[-1] == SUCCESS
    assert ward.lines("budget.exceeded", "reader") == []
    assert {event.outcome for event in ward.lines("operation.find", "reader")} == {Outcome.ALLOWED}
