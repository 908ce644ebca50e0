"""Objects on their way in: understood, permitted, handed over, or forgotten."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from leadglass.archive.ingest import Incoming
from leadglass.archive.jobs import Stored
from leadglass.dataset.synthetic import PATIENTS, Modality, SyntheticInstance, synthetic_study
from leadglass.model.action import Verb
from leadglass.model.errors import (
    DatasetInvalid,
    DatasetMismatch,
    LeadglassError,
    NotPermitted,
    OutOfResources,
    StorageFailed,
)
from leadglass.model.event import Outcome
from leadglass.model.names import Uid
from tests.support.archive_rig import CT1, LIMITS, WS1, ArchiveRig, Told, archive_rig, ct_images
from tests.support.storage import Call

IMAGE = ct_images(1)[0]
LARGE = ct_images(1, 7, rows=4000)[0]


def feed(incoming: Incoming, dataset: bytes, step_bytes: int) -> None:
    for start in range(0, len(dataset), step_bytes):
        incoming.fragment(memoryview(dataset)[start : start + step_bytes])


def stored_bytes(rig: ArchiveRig) -> bytes:
    permit = rig.permit(Verb.CHECK)
    held = next(rig.index.inventory(permit)).stored
    return b"".join(rig.store.open(permit, held.location, held.object_id).chunks())


def nothing_is_kept(rig: ArchiveRig) -> bool:
    permit = rig.permit(Verb.CHECK)
    left = [path for path in (rig.folder / "segments").iterdir() if path.stat().st_size]
    counts = rig.index.counts(permit)
    return not left and not counts.instances and rig.ingest.budget.held_bytes == 0


@pytest.mark.parametrize("step_bytes", [1, 7, 4095, 4096, 1 << 20])
def test_an_object_comes_whole_whatever_its_fragments(running: ArchiveRig, step_bytes: int) -> None:
    assert running.submit(IMAGE, step_bytes=step_bytes).result() is Stored.NEW
    assert stored_bytes(running) == IMAGE.dataset
    assert running.ingest.budget.held_bytes == 0


@pytest.mark.parametrize("step_bytes", [1000, 5000, 1 << 20])
def test_a_large_object_streams_whatever_its_fragments(running: ArchiveRig, step_bytes: int) -> None:
    assert running.submit(LARGE, step_bytes=step_bytes).result() is Stored.NEW
    assert stored_bytes(running) == LARGE.dataset


def test_a_large_object_is_never_whole_in_memory(running: ArchiveRig) -> None:
    incoming, most_bytes = running.incoming(LARGE), 0
    for start in range(0, len(LARGE.dataset), 5000):
        incoming.fragment(LARGE.dataset[start : start + 5000])
        most_bytes = max(most_bytes, running.ingest.budget.held_bytes)
    assert most_bytes <= LIMITS.in_memory_bytes
    incoming.abort()
    assert running.ingest.budget.held_bytes == 0


def test_tiny_fragments_hold_on_to_nothing_but_themselves(rig: ArchiveRig) -> None:
    incoming = rig.incoming(IMAGE)
    whole = bytes(1 << 20)
    for _ in range(10_000):
        incoming.fragment(memoryview(whole)[:1])
    assert len(incoming._waiting) == 2
    assert all(isinstance(piece, bytes) for piece in incoming._waiting)


def test_what_is_stored_is_recorded_with_who_and_by_which_rule(running: ArchiveRig) -> None:
    running.stored([IMAGE])
    line = running.audit("instance.stored")[0].event
    assert (line.who, line.rule, line.zone) == ("ct1", "flow acquire", "legacy")
    assert line.patient_id == PATIENTS[0].patient_id
    assert line.association == "a1"


def test_a_header_longer_than_the_memory_limit_is_waited_for(running: ArchiveRig) -> None:
    padding = b"\x08\x00\x00\x30LO\x04\x00abcd"
    at = IMAGE.dataset.index(b"\x10\x00\x10\x00")
    filler = padding[:0] + b"".join(_private(number, 40_000) for number in range(2))
    item = replace(IMAGE, dataset=IMAGE.dataset[:at] + filler + IMAGE.dataset[at:])
    assert len(filler) > LIMITS.in_memory_bytes
    assert running.submit(item, step_bytes=10_000).result() is Stored.NEW
    assert stored_bytes(running) == item.dataset


def _private(number: int, size_bytes: int) -> bytes:
    """A private OB element of group 0009."""
    return (
        b"\x09\x00"
        + (0x1000 + number).to_bytes(2, "little")
        + b"OB\0\0"
        + size_bytes.to_bytes(4, "little")
        + bytes(size_bytes)
    )


def test_an_object_that_is_all_header_is_refused(rig: ArchiveRig) -> None:
    at = IMAGE.dataset.index(b"\x10\x00\x10\x00")
    filler = b"".join(_private(number, 100_000) for number in range(8))
    incoming = rig.incoming(IMAGE)
    with pytest.raises(DatasetInvalid):
        feed(incoming, IMAGE.dataset[:at] + filler, 10_000)
    incoming.abort()
    assert rig.ingest.budget.held_bytes == 0


REFUSALS: list[tuple[str, SyntheticInstance, type[LeadglassError]]] = [
    ("garbage", replace(IMAGE, dataset=b"\xff" * 200), DatasetInvalid),
    ("empty", replace(IMAGE, dataset=b""), DatasetInvalid),
    ("another instance than announced", replace(IMAGE, sop_instance=Uid("1.2.3")), DatasetMismatch),
    ("another class than announced", replace(IMAGE, sop_class=Uid("1.2.3")), DatasetMismatch),
    (
        "a modality the device does not make",
        next(synthetic_study(1, Modality.MR, PATIENTS[0], instances=1, rows=4, columns=4)),
        NotPermitted,
    ),
    (
        "the same, large",
        next(synthetic_study(1, Modality.MR, PATIENTS[0], instances=1, rows=4000, columns=16)),
        NotPermitted,
    ),
]


@pytest.mark.parametrize(
    ("item", "expected"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_what_is_refused_is_not_kept(
    running: ArchiveRig, item: SyntheticInstance, expected: type[LeadglassError]
) -> None:
    incoming, told = running.incoming(item), Told()
    with pytest.raises(expected):  # noqa: PT012  large ones are refused as they come, small ones at their end
        feed(incoming, item.dataset, 16_000)
        incoming.finish(told)
    incoming.abort()
    assert nothing_is_kept(running)
    assert not told.any


def test_a_store_without_permission_is_recorded_with_its_ladder(running: ArchiveRig) -> None:
    incoming = running.incoming(IMAGE, WS1)
    incoming.fragment(IMAGE.dataset)
    with pytest.raises(NotPermitted) as refusal:
        incoming.finish(Told())
    incoming.refuse(refusal.value)
    running.committer.flush()
    lines = running.audit("operation.store")
    assert [line.event.outcome for line in lines] == [Outcome.DENIED]
    assert lines[0].event.ladder
    assert running.audit("instance.refused") == []


def test_a_broken_object_is_recorded_as_refused(running: ArchiveRig) -> None:
    incoming = running.incoming(IMAGE)
    incoming.fragment(b"\xff" * 100)
    with pytest.raises(DatasetInvalid) as refusal:
        incoming.finish(Told())
    incoming.refuse(refusal.value)
    running.committer.flush()
    line = running.audit("instance.refused")[0].event
    assert (line.who, line.outcome, line.instance) == ("ct1", Outcome.FAILED, IMAGE.sop_instance)
    assert line.ladder


def test_a_refusal_that_cannot_be_recorded_still_forgets_the_object(running: ArchiveRig) -> None:
    incoming = running.incoming(IMAGE, replace(CT1, address="198.51.100.1", calling_ae=None))
    incoming.fragment(b"\xff" * 100)
    running.committer.stop()
    incoming.refuse(DatasetInvalid("broken"))
    assert running.ingest.budget.held_bytes == 0


def test_the_budget_bounds_all_objects_together_and_is_given_back(running: ArchiveRig) -> None:
    small = replace(LIMITS, in_flight_bytes=3 * len(IMAGE.dataset))
    with archive_rig(running.folder / "small", limits=small) as rig:
        waiting = [rig.incoming(IMAGE) for _ in range(3)]
        for incoming in waiting:
            incoming.fragment(IMAGE.dataset)
        late = rig.incoming(IMAGE)
        with pytest.raises(OutOfResources) as refusal:
            late.fragment(IMAGE.dataset)
        late.refuse(refusal.value)
        waiting.pop().abort()
        assert rig.ingest.budget.held_bytes == 2 * len(IMAGE.dataset)
        told = Told()
        waiting[0].finish(told)
        rig.start()
        told.result()
        waiting[1].abort()
        assert rig.ingest.budget.held_bytes == 0


def test_abort_in_the_middle_of_a_large_object_leaves_no_file(running: ArchiveRig) -> None:
    incoming = running.incoming(LARGE)
    feed(incoming, LARGE.dataset[:100_000], 10_000)
    assert list((running.folder / "segments").iterdir())
    incoming.abort()
    incoming.abort()
    assert nothing_is_kept(running)


def test_a_disk_that_fills_under_a_large_object_refuses_it(running: ArchiveRig) -> None:
    incoming = running.incoming(LARGE)
    running.disk.room_bytes = 50_000
    with pytest.raises(StorageFailed):
        feed(incoming, LARGE.dataset, 10_000)
    incoming.abort()
    running.disk.room_bytes = None
    assert nothing_is_kept(running)
    assert running.submit(LARGE).result() is Stored.NEW


def test_a_large_object_that_cannot_be_begun_gives_its_memory_back(running: ArchiveRig) -> None:
    running.disk.failures.append((Call.FDATASYNC, errno.EIO))
    running.stored([IMAGE])
    incoming = running.incoming(LARGE)
    with pytest.raises(StorageFailed):
        feed(incoming, LARGE.dataset, 10_000)
    incoming.abort()
    assert running.ingest.budget.held_bytes == 0
