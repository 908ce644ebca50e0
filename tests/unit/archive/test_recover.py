"""Recovery cuts what a crash explains, and leaves everything that an index may have forgotten."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from leadglass.archive.recover import MAX_CUT_BYTES, Recovered, recover
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.index.engine import reading
from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted
from leadglass.storage.local import LocalSegmentStore
from leadglass.storage.mark import MARK
from leadglass.storage.store import Record
from tests.support.archive_rig import LIMITS, ArchiveRig, ct_images
from tests.support.storage import PERMIT, Call, local_store, payload, sealed


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
        return recover(replace(rig.recovery, store=store), rig.permit(Verb.OPERATE))
    finally:
        store.close()


@pytest.fixture
def marked(full: ArchiveRig) -> ArchiveRig:
    """An archive whose server has recovered, and stores."""
    assert recovered(full) == Recovered(0, 0, 0)
    full.stored(ct_images(3, seed=2))
    return full


def large(seed: int) -> SyntheticInstance:
    item = ct_images(1, seed, rows=3000)[0]
    assert len(item.dataset) > LIMITS.in_memory_bytes
    return item


def count(rig: ArchiveRig, what: str) -> int:
    with reading(rig.engine).connect() as connection:
        return int(connection.execute(text(f"SELECT {what}")).scalar_one())


@contextmanager
def then_forgotten(rig: ArchiveRig) -> Iterator[None]:
    """What happens meanwhile the index knows no more afterwards: it is an older copy."""
    last_line = count(rig, "max(seq) FROM audit_event")
    last_instance = count(rig, "max(id) FROM instance")
    yield
    rig.sql("DELETE FROM instance WHERE id > :last", last=last_instance)
    rig.sql("DELETE FROM audit_event WHERE seq > :last", last=last_line)


def segments(rig: ArchiveRig) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (rig.folder / "segments").glob("*.seg")}


def leave_undecided(rig: ArchiveRig, *, large_objects: int) -> int:
    """A batch and large objects, all on the disk, in which the power was cut; how many bytes."""
    store = restarted(rig)
    permit = rig.permit(Verb.OPERATE)
    lengths = [each.length for each in store.append(permit, [sealed(n, payload(5_000)) for n in range(20)])]
    for number in range(large_objects):
        stream = store.begin_large(permit, bytes([number]) * 16)
        stream.write(payload(300_000, number))
        lengths.append(stream.finish().length)
    store.close()
    return sum(lengths)


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
        recover(replace(full.recovery, store=store), full.permit(Verb.STATUS))
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


def test_a_batch_and_large_objects_that_were_on_their_way_together_are_cut(marked: ArchiveRig) -> None:
    before = segments(marked)
    undecided = leave_undecided(marked, large_objects=3)
    assert recovered(marked) == Recovered(0, undecided, 0)
    assert segments(marked) == before


def test_a_large_object_beyond_the_size_of_a_batch_is_cut(marked: ArchiveRig) -> None:
    chunk = bytes(1 << 20)
    store = local_store(marked.folder / "segments", chunk_bytes=len(chunk))
    stream = store.begin_large(PERMIT, b"L" * 16)
    for _ in range(MAX_CUT_BYTES // len(chunk) + 1):
        stream.write(chunk)
    length = stream.finish().length
    store.close()
    assert recovered(marked) == Recovered(0, length, 0)


def test_tails_of_several_segments_are_cut(marked: ArchiveRig) -> None:
    """Of a batch that failed, with its end not cut off yet, and of the one that came after."""
    before = segments(marked)
    for _ in range(2):
        leave_undecided(marked, large_objects=0)
    with tail(marked).open("ab") as file:
        file.write(b"torn")
    assert recovered(marked).left_bytes == 0
    assert segments(marked) == before


def test_zeros_that_fill_a_last_block_alarm_nobody_though_nothing_else_is_known(marked: ArchiveRig) -> None:
    (marked.folder / "segments" / MARK).unlink()
    before = segments(marked)
    store = restarted(marked)
    placed = store.append(PERMIT, [sealed(1, payload(100))])[0]
    store.close()
    for name in (tail(marked).name, f"{placed.segment}.seg"):
        with (marked.folder / "segments" / name).open("ab") as file:
            file.write(bytes(1_000))
    assert recovered(marked) == Recovered(0, 2_000 + placed.length, 0)
    assert segments(marked) == before


@pytest.mark.parametrize("items", [ct_images(1, seed=5), [large(6)], [*ct_images(9, seed=7), large(8)]])
def test_an_old_index_beside_newer_segments_destroys_nothing(
    marked: ArchiveRig, items: list[SyntheticInstance]
) -> None:
    with then_forgotten(marked):
        marked.stored(items)
        marked.committer.flush()
        there = segments(marked)
    for _ in range(2):  # nor at any later start
        result = recovered(marked)
        assert result.cut_bytes == 0
        assert result.left_bytes > 0
        assert "is index.db an old copy?" in result.text
        assert segments(marked) == there


def test_what_an_old_index_forgot_outlives_what_is_stored_beside_it(marked: ArchiveRig) -> None:
    with then_forgotten(marked):
        marked.stored(ct_images(1, seed=5))
    there = segments(marked)
    assert recovered(marked).left_bytes > 0
    store = restarted(marked)
    for number in range(5):
        there[f"{store.append(PERMIT, [sealed(number, payload(99))])[0].segment}.seg"] = b""
        result = recovered(marked)
        assert (result.cut_bytes, result.left_bytes > 0) == (0, True)
        assert {name: content[: len(there[name])] for name, content in segments(marked).items()} == there
    store.close()


def test_what_was_stored_with_an_old_index_outlives_the_newer_one_put_back(marked: ArchiveRig) -> None:
    with then_forgotten(marked):
        marked.stored(ct_images(1, seed=5))
        marked.sql("CREATE TABLE newer AS SELECT * FROM audit_event")
    assert recovered(marked).left_bytes > 0
    marked.sql("DELETE FROM audit_event")
    marked.sql("INSERT INTO audit_event SELECT * FROM newer")
    there = segments(marked)
    assert recovered(marked).cut_bytes == 0
    assert segments(marked) == there


def test_an_index_that_has_lost_rows_alone_loses_no_mass_of_objects(marked: ArchiveRig) -> None:
    marked.sql("DELETE FROM instance")
    with tail(marked).open("ab") as file:
        file.truncate(tail(marked).stat().st_size + MAX_CUT_BYTES)
    there = segments(marked)
    assert recovered(marked).cut_bytes == 0
    assert segments(marked) == there


def test_without_a_mark_only_the_plainest_tail_is_cut(marked: ArchiveRig) -> None:
    (marked.folder / "segments" / MARK).unlink()
    undecided = leave_undecided(marked, large_objects=1)
    assert recovered(marked) == Recovered(0, 0, undecided)
    assert recovered(marked) == Recovered(0, 0, undecided)  # nor is one begun as long as something is left


def test_a_disk_without_room_for_a_mark_keeps_nobody_from_starting(full: ArchiveRig) -> None:
    full.disk.failures.append((Call.PWRITEV, errno.ENOSPC))
    assert recovered(full) == Recovered(0, 0, 0)
    assert full.mark.read(PERMIT) is None
    assert recovered(full) == Recovered(0, 0, 0)
    assert full.mark.read(PERMIT) is not None
