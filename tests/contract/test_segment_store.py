"""One suite for every segment store."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadglass.model.errors import IntegrityBroken, KeyUnavailable, LocalProtocolError
from leadglass.model.instance import Location
from leadglass.storage import (
    MemorySegmentStore,
    ScannedRecord,
    SegmentStore,
    StoreState,
    TornTail,
    seal,
)
from leadglass.storage.record import HEADER_BYTES
from leadglass.storage.store import Record
from tests.support.storage import (
    OTHER_KEY,
    PERMIT,
    SITE_KEY,
    SMALL_CHUNK_BYTES,
    KeyRing,
    SteppingClock,
    local_store,
    object_id,
    payload,
    sealed,
)

SEGMENT_BYTES = 1000
SIZES = (0, 1, 63, 64, 65, 127, 128, 129, 300)

MakeStore = Callable[[KeyRing], SegmentStore]


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(SITE_KEY)


def make_memory_store(ring: KeyRing, _directory: Path) -> SegmentStore:
    return MemorySegmentStore(
        ring,
        SteppingClock(),
        os.urandom,
        segment_bytes=SEGMENT_BYTES,
        chunk_bytes=SMALL_CHUNK_BYTES,
    )


def make_local_store(ring: KeyRing, directory: Path) -> SegmentStore:
    return local_store(directory, keys=ring, segment_bytes=SEGMENT_BYTES)


@pytest.fixture(params=[make_memory_store, make_local_store], ids=["memory", "local"])
def store(request: pytest.FixtureRequest, ring: KeyRing, tmp_path: Path) -> Iterator[SegmentStore]:
    made: SegmentStore = request.param(ring, tmp_path / "segments")
    yield made
    made.close()


def read_all(store: SegmentStore, location: Location, number: int) -> bytes:
    return b"".join(store.open(PERMIT, location, object_id(number)).chunks())


def names(store: SegmentStore) -> list[str]:
    return [info.name for info in store.segments(PERMIT)]


def test_a_new_store_is_ready_and_empty(store: SegmentStore) -> None:
    assert store.state is StoreState.READY
    assert names(store) == []
    assert store.free_bytes(PERMIT) > 0


def test_what_is_appended_reads_back_whatever_its_size(store: SegmentStore) -> None:
    plain = [payload(size, seed=size) for size in SIZES]
    locations = store.append(PERMIT, [sealed(number, content) for number, content in enumerate(plain)])
    assert len(locations) == len(plain)
    for number, (location, content) in enumerate(zip(locations, plain, strict=True)):
        reader = store.open(PERMIT, location, object_id(number))
        assert reader.size_bytes == len(content)
        assert b"".join(reader.chunks()) == content
        assert reader.read(0, len(content)) == content
        store.verify(PERMIT, location, object_id(number))


def test_a_batch_is_laid_down_in_order_without_gaps(store: SegmentStore) -> None:
    batch = [sealed(number, payload(20)) for number in range(3)]
    first, second, third = store.append(PERMIT, batch)
    assert (first.offset, first.length) == (0, batch[0].length)
    assert second.offset == first.offset + first.length
    assert third.offset == second.offset + second.length
    assert {first.segment, second.segment, third.segment} == {names(store)[0]}


def test_an_empty_batch_makes_nothing(store: SegmentStore) -> None:
    assert store.append(PERMIT, []) == []
    assert names(store) == []


def test_the_next_batch_continues_the_segment(store: SegmentStore) -> None:
    (first,) = store.append(PERMIT, [sealed(1, payload(20))])
    (second,) = store.append(PERMIT, [sealed(2, payload(20))])
    assert (second.segment, second.offset) == (first.segment, first.length)


def test_a_full_segment_is_followed_by_a_new_one(store: SegmentStore) -> None:
    locations = [store.append(PERMIT, [sealed(number, payload(500))])[0] for number in range(4)]
    assert [location.segment for location in locations] == names(store)
    assert names(store) == sorted(set(names(store)))
    assert [read_all(store, locations[number], number) for number in range(4)] == [payload(500)] * 4


def test_a_batch_is_never_split_even_if_a_segment_grows_too_long(store: SegmentStore) -> None:
    store.append(PERMIT, [sealed(0, payload(10))])
    locations = store.append(PERMIT, [sealed(number, payload(500)) for number in range(1, 5)])
    assert {location.segment for location in locations} == {names(store)[1]}


def test_names_of_segments_are_ours(store: SegmentStore) -> None:
    store.append(PERMIT, [sealed(1, b"x")])
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", name) for name in names(store))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fragment_bytes", [1, 63, 64, 65, 1000])
def test_a_large_object_reads_back_however_it_came(
    store: SegmentStore, size: int, fragment_bytes: int
) -> None:
    content = payload(size)
    large = store.begin_large(PERMIT, object_id(7))
    for start in range(0, size, fragment_bytes):
        large.write(content[start : start + fragment_bytes])
    location = large.finish()
    assert read_all(store, location, 7) == content
    assert (location.offset, names(store)) == (0, [location.segment])
    assert next(store.segments(PERMIT)).size_bytes == location.length


def test_a_large_object_takes_memoryviews_and_empty_fragments(store: SegmentStore) -> None:
    large = store.begin_large(PERMIT, object_id(7))
    large.write(memoryview(payload(100)))
    large.write(b"")
    assert read_all(store, large.finish(), 7) == payload(100)


def test_a_large_object_shows_only_when_finished(store: SegmentStore) -> None:
    large = store.begin_large(PERMIT, object_id(7))
    large.write(payload(300))
    assert names(store) == []
    large.finish()
    assert len(names(store)) == 1


def read_back(store: SegmentStore, location: Location, number: int) -> bytes:
    return b"".join(store.open(PERMIT, location, object_id(number)).chunks())


def test_a_batch_counts_when_it_is_finished_and_lies_where_it_was_said_to(store: SegmentStore) -> None:
    (earlier,) = store.append(PERMIT, [sealed(1, payload(20))])
    pending = store.begin_append(PERMIT, [sealed(2, payload(30)), sealed(3, payload(40))])
    pending.finish()
    second, third = pending.locations
    assert read_back(store, second, 2) == payload(30)
    assert read_back(store, third, 3) == payload(40)
    assert (earlier.segment, earlier.offset + earlier.length) == (second.segment, second.offset)


def test_the_next_batch_takes_the_place_of_one_never_finished(store: SegmentStore) -> None:
    store.append(PERMIT, [sealed(1, payload(20))])
    (given_up,) = store.begin_append(PERMIT, [sealed(2, payload(30))]).locations
    (location,) = store.append(PERMIT, [sealed(3, payload(40))])
    assert (location.segment, location.offset) == (given_up.segment, given_up.offset)
    assert read_back(store, location, 3) == payload(40)
    assert list(store.begin_append(PERMIT, []).locations) == []


def test_large_objects_and_appends_do_not_mix(store: SegmentStore) -> None:
    large = store.begin_large(PERMIT, object_id(1))
    large.write(payload(100))
    (appended,) = store.append(PERMIT, [sealed(2, payload(50))])
    finished = large.finish()
    (after,) = store.append(PERMIT, [sealed(3, payload(50))])
    assert finished.segment not in {appended.segment, after.segment}
    assert read_all(store, finished, 1) == payload(100)


def test_an_aborted_large_object_leaves_nothing(store: SegmentStore, tmp_path: Path) -> None:
    large = store.begin_large(PERMIT, object_id(7))
    large.write(payload(300))
    large.abort()
    large.abort()
    assert names(store) == []
    assert list((tmp_path / "segments").glob("*")) == []


def test_abort_after_finish_keeps_the_object(store: SegmentStore) -> None:
    large = store.begin_large(PERMIT, object_id(7))
    large.write(payload(300))
    location = large.finish()
    large.abort()
    assert read_all(store, location, 7) == payload(300)


def test_a_large_object_is_used_once(store: SegmentStore) -> None:
    finished = store.begin_large(PERMIT, object_id(7))
    finished.finish()
    aborted = store.begin_large(PERMIT, object_id(8))
    aborted.abort()
    for large in (finished, aborted):
        with pytest.raises(LocalProtocolError):
            large.write(b"x")
        with pytest.raises(LocalProtocolError):
            large.finish()


def test_every_range_is_the_slice_of_the_whole(store: SegmentStore) -> None:
    content = payload(200)
    (location,) = store.append(PERMIT, [sealed(1, content)])
    reader = store.open(PERMIT, location, object_id(1))
    for start in range(0, 201, 3):
        for stop in (*range(start, 201, 7), 200):
            assert reader.read(start, stop) == content[start:stop]


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 11), (5, 4), (11, 11)])
def test_a_range_outside_the_object_is_a_mistake(store: SegmentStore, start: int, stop: int) -> None:
    (location,) = store.append(PERMIT, [sealed(1, payload(10))])
    with pytest.raises(ValueError, match="of an object of 10"):
        store.open(PERMIT, location, object_id(1)).read(start, stop)


def test_a_record_opens_only_as_the_object_it_is(store: SegmentStore) -> None:
    first, second = store.append(PERMIT, [sealed(1, payload(90)), sealed(2, payload(90))])
    wrong = [
        (first, object_id(2)),
        (second, object_id(1)),
        (Location(first.segment, first.offset, first.length + 1), object_id(1)),
        (Location(first.segment, first.offset + 1, first.length), object_id(1)),
        (Location(first.segment, second.offset + second.length, first.length), object_id(1)),
        (Location("0" * 26, 0, first.length), object_id(1)),
        (Location("../../etc/passwd", 0, first.length), object_id(1)),
    ]
    for location, identity in wrong:
        with pytest.raises(IntegrityBroken):
            store.open(PERMIT, location, identity)
        with pytest.raises(IntegrityBroken):
            store.verify(PERMIT, location, identity)


def test_damage_is_reported_with_segment_and_offset(store: SegmentStore) -> None:
    _, second = store.append(PERMIT, [sealed(1, b"a"), sealed(2, b"b")])
    with pytest.raises(IntegrityBroken, match=re.escape(f"segments/{second.segment}.seg+{second.offset}")):
        store.open(PERMIT, second, object_id(1))


def test_without_its_site_key_a_record_stays_shut_but_can_be_walked(
    store: SegmentStore, ring: KeyRing
) -> None:
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    ring.keys.clear()
    with pytest.raises(KeyUnavailable):
        store.open(PERMIT, location, object_id(1))
    with pytest.raises(KeyUnavailable):
        store.verify(PERMIT, location, object_id(1))
    with pytest.raises(KeyUnavailable):
        store.begin_large(PERMIT, object_id(2))
    assert list(store.scan(PERMIT, location.segment)) == [ScannedRecord(object_id(1), location, 1)]


def test_a_new_site_key_seals_new_records_and_the_old_one_opens_old_ones(
    store: SegmentStore, ring: KeyRing
) -> None:
    (old,) = store.append(PERMIT, [sealed(1, b"old")])
    ring.keys.append(OTHER_KEY)
    (new,) = store.append(PERMIT, [seal(PERMIT, object_id(2), [b"new"], ring.current(), os.urandom)])
    assert (read_all(store, old, 1), read_all(store, new, 2)) == (b"old", b"new")
    ring.keys.remove(SITE_KEY)
    assert read_all(store, new, 2) == b"new"
    with pytest.raises(KeyUnavailable):
        store.open(PERMIT, old, object_id(1))


def test_scan_finds_every_record(store: SegmentStore) -> None:
    locations = store.append(PERMIT, [sealed(number, payload(size)) for number, size in enumerate(SIZES)])
    expected = [
        ScannedRecord(object_id(number), location, size)
        for number, (location, size) in enumerate(zip(locations, SIZES, strict=True))
    ]
    assert list(store.scan(PERMIT, locations[0].segment)) == expected
    assert list(store.scan(PERMIT, locations[0].segment, locations[1].offset)) == expected[1:]


def test_scan_shows_a_torn_tail_wherever_it_tears(store: SegmentStore) -> None:
    first, second = store.append(PERMIT, [sealed(1, payload(600)), sealed(2, payload(600))])
    store.append(PERMIT, [sealed(3, b"the next segment")])
    end = second.offset + second.length
    for keep_bytes in (
        end - 1,
        second.offset + HEADER_BYTES,
        second.offset + HEADER_BYTES - 1,
        second.offset + 1,
    ):
        store.truncate_tail(PERMIT, first.segment, keep_bytes)
        assert list(store.scan(PERMIT, first.segment)) == [
            ScannedRecord(object_id(1), first, 600),
            TornTail(second.offset),
        ]
        with pytest.raises(IntegrityBroken):
            store.verify(PERMIT, second, object_id(2))
    store.truncate_tail(PERMIT, first.segment, second.offset)
    assert list(store.scan(PERMIT, first.segment)) == [ScannedRecord(object_id(1), first, 600)]
    assert read_all(store, first, 1) == payload(600)


def test_a_segment_with_nothing_to_keep_is_removed(store: SegmentStore) -> None:
    large = store.begin_large(PERMIT, object_id(1))
    location = large.finish()
    store.verify(PERMIT, location, object_id(1))
    store.truncate_tail(PERMIT, location.segment, 0)
    assert names(store) == []
    with pytest.raises(IntegrityBroken):
        store.open(PERMIT, location, object_id(1))


def test_the_segment_being_appended_to_is_never_cut(store: SegmentStore) -> None:
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    with pytest.raises(LocalProtocolError):
        store.truncate_tail(PERMIT, location.segment, 0)


@pytest.mark.parametrize("keep_bytes", [-1, 10_000])
def test_recovery_cannot_keep_what_is_not_there(store: SegmentStore, keep_bytes: int) -> None:
    location = store.begin_large(PERMIT, object_id(1)).finish()
    with pytest.raises(ValueError, match="cannot keep"):
        store.truncate_tail(PERMIT, location.segment, keep_bytes)


@pytest.mark.parametrize("segment", ["0" * 26, "../../etc/passwd"])
def test_a_segment_that_does_not_exist_is_damage(store: SegmentStore, segment: str) -> None:
    with pytest.raises(IntegrityBroken):
        list(store.scan(PERMIT, segment))
    with pytest.raises(IntegrityBroken):
        store.truncate_tail(PERMIT, segment, 0)


def test_finished_objects_are_no_leftovers(store: SegmentStore) -> None:
    location = store.begin_large(PERMIT, object_id(1)).finish()
    assert store.discard_unfinished(PERMIT) == 0
    store.verify(PERMIT, location, object_id(1))


def test_nothing_opens_without_a_permit(store: SegmentStore) -> None:
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    stranger = "let me in"
    calls: list[Callable[[], object]] = [
        lambda: store.append(stranger, []),  # type: ignore[arg-type]  # the point of the test
        lambda: store.begin_large(stranger, object_id(1)),  # type: ignore[arg-type]  # same
        lambda: store.open(stranger, location, object_id(1)),  # type: ignore[arg-type]  # same
        lambda: store.verify(stranger, location, object_id(1)),  # type: ignore[arg-type]  # same
        lambda: store.segments(stranger),  # type: ignore[arg-type]  # same
        lambda: store.scan(stranger, location.segment),  # type: ignore[arg-type]  # same
        lambda: store.truncate_tail(stranger, location.segment, 0),  # type: ignore[arg-type]  # same
        lambda: store.discard_unfinished(stranger),  # type: ignore[arg-type]  # same
        lambda: store.free_bytes(stranger),  # type: ignore[arg-type]  # same
        lambda: seal(stranger, object_id(1), [], SITE_KEY, os.urandom),  # type: ignore[arg-type]  # same
    ]
    for call in calls:
        with pytest.raises(TypeError, match="Permit"):
            call()


def test_many_read_while_one_appends(store: SegmentStore) -> None:
    content = payload(300)
    done: list[tuple[int, Location]] = []
    wrong: list[str] = []
    finished = threading.Event()

    def read() -> None:
        generator = iter(range(1_000_000))
        while not (finished.is_set() and done):
            if done:
                number, location = done[next(generator) % len(done)]
                if read_all(store, location, number) != content:
                    wrong.append(location.segment)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(100):
        (location,) = store.append(PERMIT, [sealed(number, content)])
        done.append((number, location))
    finished.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert [read_all(store, location, number) for number, location in done] == [content] * 100


def test_a_record_is_rewrapped_under_the_current_key_and_reads_as_before(
    store: SegmentStore, ring: KeyRing
) -> None:
    contents = [payload(size, size) for size in SIZES]
    locations = store.append(PERMIT, [sealed(number, content) for number, content in enumerate(contents)])
    records = [Record(location, object_id(number)) for number, location in enumerate(locations)]
    assert store.rewrap(PERMIT, records) == 0
    ring.keys.append(OTHER_KEY)
    assert store.rewrap(PERMIT, records) == len(records)
    assert store.rewrap(PERMIT, records) == 0
    ring.keys.remove(SITE_KEY)
    for record, content in zip(records, contents, strict=True):
        assert b"".join(store.open(PERMIT, record.location, record.object_id).chunks()) == content


def test_no_record_is_rewrapped_where_one_of_them_cannot_be(store: SegmentStore, ring: KeyRing) -> None:
    (first,) = store.append(PERMIT, [sealed(1, b"a")])
    ring.keys.append(OTHER_KEY)
    wrong = Record(first, object_id(2))
    with pytest.raises(IntegrityBroken):
        store.rewrap(PERMIT, [Record(first, object_id(1)), wrong])
    ring.keys.remove(OTHER_KEY)
    store.verify(PERMIT, first, object_id(1))
    ring.keys = [OTHER_KEY]
    with pytest.raises(KeyUnavailable):
        store.rewrap(PERMIT, [Record(first, object_id(1))])


def test_what_is_appended_after_a_new_key_is_in_a_segment_of_its_own(
    store: SegmentStore, ring: KeyRing
) -> None:
    (old,) = store.append(PERMIT, [sealed(1, b"old")])
    ring.keys.append(OTHER_KEY)
    new_object = seal(PERMIT, object_id(2), [b"new"], OTHER_KEY, os.urandom)
    (new,) = store.append(PERMIT, [new_object])
    assert old.segment != new.segment


def test_an_erased_record_is_gone_for_good_and_hides_no_other(store: SegmentStore) -> None:
    first, second, third = store.append(PERMIT, [sealed(number, payload(90)) for number in (1, 2, 3)])
    store.erase(PERMIT, [Record(second, object_id(2))])
    store.erase(PERMIT, [Record(second, object_id(2))])
    with pytest.raises(IntegrityBroken, match="erased"):
        store.open(PERMIT, second, object_id(2))
    store.verify(PERMIT, first, object_id(1))
    store.verify(PERMIT, third, object_id(3))
    walked = list(store.scan(PERMIT, first.segment))
    assert [isinstance(record, ScannedRecord) and record.is_erased for record in walked] == [
        False,
        True,
        False,
    ]
    assert store.rewrap(PERMIT, [Record(second, object_id(2))]) == 0


def test_appending_goes_on_after_an_erasure_in_the_open_segment(store: SegmentStore) -> None:
    (first,) = store.append(PERMIT, [sealed(1, b"to be erased")])
    store.erase(PERMIT, [Record(first, object_id(1))])
    (second,) = store.append(PERMIT, [sealed(2, b"later")])
    store.verify(PERMIT, second, object_id(2))
    with pytest.raises(IntegrityBroken, match="erased"):
        store.open(PERMIT, first, object_id(1))
    assert not store.finish_rewrites(PERMIT)
