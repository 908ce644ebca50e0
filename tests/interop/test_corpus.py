"""Every real file that ships with pydicom goes in over mutual TLS and comes back, equal to the byte.

Several of them are one SOP instance in different encodings. An archive keeps the first, sets the others
apart and raises an alert; what is expected of each is worked out here, from the files alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

import pytest

from leadglass.dataset.part10 import read_part10
from leadglass.model.errors import DatasetInvalid
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.query import Level
from tests.support.client import REFUSED_CONTEXT, Client, GotObject, SentObject
from tests.support.clinic import Clinic, open_clinic
from tests.support.corpus import CorpusFile, corpus
from tests.support.datasets import read
from tests.support.leadglass import leadglass
from tests.support.site import ARCHIVE_AE

SUCCESS, CANNOT_UNDERSTAND, INVALID_INSTANCE = 0x0000, 0xC000, 0x0117
KINDS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not stored: the status its sender gets, and what the audit trail says of it."""

    status: int
    reason: str


NO_SUCH_SERVICE = Refusal(REFUSED_CONTEXT, "")  # at negotiation: nothing of it ever travels
NO_SOP_CLASS = Refusal(CANNOT_UNDERSTAND, "(0008,0016): not a UID (0 characters)")
NO_STUDY = Refusal(CANNOT_UNDERSTAND, "(0020,000D): not a UID (0 characters)")

REFUSED = {
    # Color palettes are of no patient (PS3.4 Annex GG): an archive of studies has nowhere to file them.
    **{
        f"pydicom/palettes/{name}.dcm": NO_SUCH_SERVICE
        for name in (
            "fall",
            "hotiron",
            "hotmetalblue",
            "pet",
            "pet20step",
            "spring",
            "summer",
            "winter",
        )
    },
    # Directories of media exist as files only (PS3.10 §8.6).
    **{
        f"pydicom/test_files/dicomdirtests/{name}": NO_SUCH_SERVICE
        for name in (
            "DICOMDIR",
            "DICOMDIR-bigEnd",
            "DICOMDIR-empty.dcm",
            "DICOMDIR-implicit",
            "DICOMDIR-nooffset",
            "DICOMDIR-nopatient",
            "DICOMDIR-reordered",
            "TINY_ALPHA/DICOMDIR",
        )
    },
    # Scraps of data sets: their file meta group names an instance, they themselves do not.
    "pydicom/charset_files/chrSQEncoding.dcm": NO_SOP_CLASS,
    "pydicom/charset_files/chrSQEncoding1.dcm": NO_SOP_CLASS,
    "pydicom/test_files/UN_sequence.dcm": NO_SOP_CLASS,
    "pydicom/test_files/no_meta_group_length.dcm": NO_SOP_CLASS,
    "pydicom/test_files/priv_SQ.dcm": NO_SOP_CLASS,
    # Images of no study: type 1 by PS3.3 §C.7.2.1, and what an archive files by.
    "pydicom/test_files/JPEGLSNearLossless_08.dcm": NO_STUDY,
    "pydicom/test_files/JPEGLSNearLossless_16.dcm": NO_STUDY,
    "pydicom/test_files/SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "pydicom/test_files/SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
    # Says JPEG Baseline, which is explicit VR, and is written in implicit VR.
    "pydicom/test_files/SC_rgb_jpeg.dcm": Refusal(
        CANNOT_UNDERSTAND, "(0008,0008) at offset 0: no value representation"
    ),
    # Cut off inside the beam sequence.
    "pydicom/test_files/rtplan_truncated.dcm": Refusal(
        CANNOT_UNDERSTAND, "(300A,00B0) at offset 1110: the data set ends inside it"
    ),
    # An anonymiser put a hash where the SOP Instance UID was.
    "pydicom-data/bad_sequence.dcm": Refusal(
        INVALID_INSTANCE, "the SOP Instance UID of the request is not a UID"
    ),
}

# Nothing in the file says which instance of which class it is: it cannot even be offered.
NOT_SENDABLE = {
    "pydicom/test_files/empty_charset_LEI.dcm",
    "pydicom/test_files/meta_missing_tsyntax.dcm",
    "pydicom/test_files/nested_priv_SQ.dcm",
}


class Fate(Enum):
    """What becomes of a file, and the audit line that tells of it."""

    STORED = ("instance.stored", Outcome.DONE)
    REPEATED = ("instance.repeated", Outcome.DONE)
    QUARANTINED = ("instance.quarantined", Outcome.ALERT)
    REFUSED = ("instance.refused", Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class Offered:
    """A file as it is sent."""

    name: str
    study: str
    sent: SentObject


def offered(file: CorpusFile) -> Offered:
    meta = read(file.path).file_meta
    sent = SentObject(
        file.sop_class or str(meta.MediaStorageSOPClassUID),
        file.sop_instance or str(meta.MediaStorageSOPInstanceUID),
        file.transfer_syntax,
        file.dataset_bytes(),
    )
    return Offered(file.name, file.study, sent)


OFFERED = tuple(offered(file) for file in corpus() if file.name not in NOT_SENDABLE)


def fates(files: Iterable[Offered]) -> Iterator[tuple[Offered, Fate]]:
    """What becomes of each, sent in this order to an empty archive; those refused unseen left out."""
    kept: dict[str, SentObject] = {}
    for each in files:
        if REFUSED.get(each.name) == NO_SUCH_SERVICE:
            continue
        first = kept.setdefault(each.sent.sop_instance, each.sent) if each.name not in REFUSED else None
        if first is None:
            yield each, Fate.REFUSED
        elif first is each.sent:
            yield each, Fate.STORED
        else:
            yield each, Fate.REPEATED if first == each.sent else Fate.QUARANTINED


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A clinic with nothing in it."""
    with open_clinic(tmp_path_factory.mktemp("corpus")) as clinic:
        yield clinic


@pytest.fixture(scope="module")
def scanner(archive: Clinic) -> Client:
    return Client(archive.site.tls_port, "CT1", ARCHIVE_AE, archive.ct1)


@pytest.fixture(scope="module")
def workstation(archive: Clinic) -> Client:
    return Client(archive.site.tls_port, "WS1", ARCHIVE_AE, archive.ws1)


@pytest.fixture(scope="module")
def statuses(scanner: Client) -> dict[str, int]:
    """What the archive answered when all were sent, in order."""
    answers = scanner.send([each.sent for each in OFFERED])
    return {each.name: status for each, status in zip(OFFERED, answers, strict=True)}


def counts(archive: Clinic) -> dict[str, int]:
    """What the archive says it holds."""
    held: dict[str, int] = leadglass(archive.site.home, "status", "--json").json()["counts"]
    return held


def instance_lines(archive: Clinic) -> list[AuditEvent]:
    return [line.event for line in archive.site.audit("instance", count=10_000)]


def fetched(workstation: Client, wanted: Iterable[Offered]) -> dict[str, GotObject]:
    """These and whatever else is of their studies, taking every object in the syntax it was sent in."""
    by_study: dict[str, set[tuple[str, str]]] = {}
    for each in wanted:
        by_study.setdefault(each.study, set()).add((each.sent.sop_class, each.sent.transfer_syntax))
    came: dict[str, GotObject] = {}
    studies = list(by_study)
    while studies:
        kinds: set[tuple[str, str]] = set()
        some: list[str] = []
        while studies and len(kinds | by_study[studies[-1]]) <= KINDS_AT_ONCE:
            kinds |= by_study[studies[-1]]
            some.append(studies.pop())
        got = workstation.get(Level.STUDY, [("StudyInstanceUID", "\\".join(some))], sorted(kinds))
        assert (got.end.status, got.end.failed) == (SUCCESS, 0)
        came |= got.objects
    return came


def test_no_file_of_the_table_is_missing_from_the_corpus() -> None:
    assert NOT_SENDABLE | set(REFUSED) <= {file.name for file in corpus()}


@pytest.mark.parametrize("name", sorted(NOT_SENDABLE))
def test_a_file_that_names_no_instance_is_not_even_offered(name: str) -> None:
    (file,) = (file for file in corpus() if file.name == name)
    with pytest.raises(DatasetInvalid):
        read_part10(file.path.read_bytes())


def test_exactly_the_broken_ones_are_refused_each_with_its_status(statuses: dict[str, int]) -> None:
    refused = {name: status for name, status in statuses.items() if status != SUCCESS}
    assert refused == {name: refusal.status for name, refusal in REFUSED.items()}


def test_the_audit_trail_tells_the_fate_of_each(archive: Clinic, statuses: dict[str, int]) -> None:
    told = [(line.kind, line.outcome) for line in instance_lines(archive)[: len(statuses)]]
    expected = list(fates(OFFERED))
    assert told[: len(expected)] == [fate.value for _, fate in expected]
    reasons = [line.reason for line in instance_lines(archive) if line.kind == "instance.refused"]
    assert reasons == [REFUSED[each.name].reason for each, fate in expected if fate is Fate.REFUSED]


def test_what_was_stored_comes_back_equal_to_the_byte(workstation: Client, statuses: dict[str, int]) -> None:
    """Of several files with one UID it is the first that stays served."""
    stored = [each for each, fate in fates(OFFERED) if fate is Fate.STORED]
    came = fetched(workstation, stored)
    assert came == {
        each.sent.sop_instance: GotObject(each.sent.transfer_syntax, each.sent.dataset) for each in stored
    }


def test_sending_all_again_changes_nothing(
    archive: Clinic, scanner: Client, statuses: dict[str, int]
) -> None:
    before = len(instance_lines(archive))
    counted = counts(archive)
    assert scanner.send([each.sent for each in OFFERED]) == list(statuses.values())
    again = [Fate((line.kind, line.outcome)) for line in instance_lines(archive)[before:]]
    assert again == [Fate.REPEATED if fate is Fate.STORED else fate for _, fate in fates(OFFERED)]
    assert counts(archive) == counted


def test_every_encoding_of_one_image_comes_back_equal_to_the_byte(
    scanner: Client, workstation: Client, statuses: dict[str, int]
) -> None:
    """Those that are set apart are stored as well, each under a UID of its own of the same length."""
    renamed = []
    for number, (each, fate) in enumerate(fates(OFFERED)):
        if fate is Fate.QUARANTINED:
            old = each.sent.sop_instance
            new = f"{old[:-5]}{90_000 + number}"
            dataset = each.sent.dataset.replace(old.encode(), new.encode())
            renamed.append(replace(each, sent=replace(each.sent, sop_instance=new, dataset=dataset)))
    assert len(renamed) > 60
    assert scanner.send([each.sent for each in renamed]) == [SUCCESS] * len(renamed)
    came = fetched(workstation, [each for each in OFFERED if each.name not in REFUSED])
    for each in renamed:
        assert came[each.sent.sop_instance] == GotObject(each.sent.transfer_syntax, each.sent.dataset)


def test_the_archive_is_sound_with_all_that_in_it(archive: Clinic, statuses: dict[str, int]) -> None:
    ran = leadglass(archive.site.home, "check", "--json")
    assert ran.exit_code == 0
    report = ran.json()
    assert report["damage_count"] == 0
    assert report["quarantined"] == counts(archive)["quarantined"]
