"""Recovery cuts what one crash explains, and leaves everything else alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from leadglass.archive.recover import MAX_CUT_BYTES, Recovered, recover
from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted
from leadglass.storage.local import LocalSegmentStore
from leadglass.storage.store import Record
from tests.support.archive_rig import ArchiveRig, ct_images
from tests.support.storage import local_store


@pytest.fixture
def full(running: ArchiveRig) -> ArchiveRig:
    running.stored(ct_images(3))
    return running


def restarted(rig: ArchiveRig) -> LocalSegmentStore:
    """The same folder, as the next process opens it."""
    return local_store(rig.folder / "segments")


def recovered(rig: ArchiveRig) -> Recovered:
    store = restarted(rig)
    try:
        return recover(rig.index, store, rig.permit(Verb.OPERATE))
    finally:
        store.close()


def tail(rig: ArchiveRig) -> Path:
    return next((rig.folder / "segments").glob("*.seg"))


def test_a_sound_archive_needs_nothing(full: ArchiveRig) -> None:
    result = recovered(full)
    assert result == Recovered(0, 0, 0)
    assert not result.anything


def test_a_tail_that_was_never_acknowledged_is_cut(full: ArchiveRig) -> None:
    whole = tail(full).read_bytes()
    with tail(full).open("ab") as file:
        file.write(b"torn")
    result = recovered(full)
    assert result == Recovered(0, 4, 0)
    assert result.anything
    assert "4 unacknowledged bytes cut" in result.text
    assert tail(full).read_bytes() == whole


def test_a_segment_of_which_nothing_was_acknowledged_goes(full: ArchiveRig) -> None:
    new = tail(full).with_name("01ZZZZZZZZZZZZZZZZZZZZZZZZ.seg")
    new.write_bytes(b"nobody knows")
    assert recovered(full) == Recovered(0, 12, 0)
    assert not new.exists()


def test_unfinished_large_objects_go(full: ArchiveRig) -> None:
    (full.folder / "segments" / "01ZZZZZZZZZZZZZZZZZZZZZZZZ.part").write_bytes(b"half")
    assert recovered(full) == Recovered(1, 0, 0)


def test_more_than_one_crash_can_leave_is_left_alone(full: ArchiveRig) -> None:
    for name in ("01ZZZZZZZZZZZZZZZZZZZZZZZY", "01ZZZZZZZZZZZZZZZZZZZZZZZZ"):
        shutil.copy(tail(full), tail(full).with_name(f"{name}.seg"))
    size = tail(full).stat().st_size
    result = recovered(full)
    assert result == Recovered(0, 0, 2 * size)
    assert "is index.db an old copy?" in result.text
    assert len(list((full.folder / "segments").iterdir())) == 3


def test_a_tail_larger_than_a_batch_is_left_alone(full: ArchiveRig) -> None:
    with tail(full).open("ab") as file:
        file.truncate(tail(full).stat().st_size + MAX_CUT_BYTES + 1)
    assert recovered(full).cut_bytes == 0
    assert recovered(full).left_bytes == MAX_CUT_BYTES + 1


def test_an_index_that_knows_nothing_loses_nothing(full: ArchiveRig) -> None:
    full.sql("DELETE FROM instance")
    with tail(full).open("ab") as file:
        file.truncate(tail(full).stat().st_size + MAX_CUT_BYTES)
    size = tail(full).stat().st_size
    assert recovered(full).left_bytes == size


def test_it_takes_a_permit_for_operation(full: ArchiveRig) -> None:
    store = restarted(full)
    with pytest.raises(NotPermitted):
        recover(full.index, store, full.permit(Verb.STATUS))
    store.close()


def test_what_was_erased_at_the_end_of_a_segment_is_no_tail_of_a_crash(full: ArchiveRig) -> None:
    held = list(full.index.inventory(full.permit(Verb.CHECK)))
    last = max(held, key=lambda each: each.stored.location.offset).stored
    store = restarted(full)
    store.erase(full.permit(Verb.OPERATE), [Record(last.location, last.object_id)])
    store.close()
    full.sql("DELETE FROM instance WHERE offset = (SELECT max(offset) FROM instance)")
    assert recovered(full) == Recovered(0, 0, 0)
    with tail(full).open("ab") as file:
        file.write(b"and a batch that was never acknowledged")
    assert recovered(full) == Recovered(0, 39, 0)
