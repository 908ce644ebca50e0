from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken, OutOfResources
from leadglass.model.instance import Location
from leadglass.storage import LocalSegmentStore
from leadglass.storage.filesystem import PosixFileSystem
from tests.support.storage import PERMIT, local_store, object_id, payload, sealed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "segments"


@pytest.fixture
def store(folder: Path) -> Iterator[LocalSegmentStore]:
    made = local_store(folder)
    yield made
    made.close()


def read_all(store: LocalSegmentStore, location: Location, number: int) -> bytes:
    return b"".join(store.open(PERMIT, location, object_id(number)).chunks())


def test_only_the_owner_can_read_segments(folder: Path) -> None:
    old_umask = os.umask(0)
    try:
        store = local_store(folder)
        store.append(PERMIT, [sealed(1, b"a")])
        large = store.begin_large(PERMIT, object_id(2))
        large.write(b"b")
        modes = {file.suffix: file.stat().st_mode & 0o777 for file in folder.iterdir()}
        store.close()
    finally:
        os.umask(old_umask)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes == {".seg": 0o600, ".part": 0o600}


def test_a_folder_open_to_others_is_refused_with_the_command_that_closes_it(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(ConfigurationInvalid, match=f"chmod 700 {folder}"):
        local_store(folder)


@pytest.mark.parametrize("segments", ["file", "missing/segments"])
def test_a_folder_that_cannot_be_is_named(tmp_path: Path, segments: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationInvalid, match=segments):
        local_store(tmp_path / segments)


def test_the_folder_itself_may_be_a_link_to_another_disk(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "big-disk").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "big-disk")
    store = local_store(folder)
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    assert read_all(store, location, 1) == b"a"
    store.close()


def test_nothing_lies_in_the_clear(store: LocalSegmentStore, folder: Path) -> None:
    secret = b"a word no cipher text contains " * 8
    store.append(PERMIT, [sealed(1, secret)])
    large = store.begin_large(PERMIT, object_id(2))
    large.write(secret)
    assert [secret[:8] in file.read_bytes() for file in folder.iterdir()] == [False, False]


def test_what_was_stored_is_there_after_a_restart(store: LocalSegmentStore, folder: Path) -> None:
    (location,) = store.append(PERMIT, [sealed(1, payload(300))])
    large = store.begin_large(PERMIT, object_id(2))
    large.write(payload(500))
    finished = large.finish()
    store.close()
    again = local_store(folder)
    assert (read_all(again, location, 1), read_all(again, finished, 2)) == (payload(300), payload(500))
    again.close()


def test_opening_changes_nothing_and_a_second_reader_disturbs_nobody(
    store: LocalSegmentStore, folder: Path
) -> None:
    store.append(PERMIT, [sealed(1, b"a")])
    large = store.begin_large(PERMIT, object_id(2))
    large.write(payload(500))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    local_store(folder).close()
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert read_all(store, large.finish(), 2) == payload(500)


def test_a_restarted_store_never_appends_to_an_old_tail(store: LocalSegmentStore, folder: Path) -> None:
    (old,) = store.append(PERMIT, [sealed(1, b"a")])
    store.close()
    with (folder / f"{old.segment}.seg").open("ab") as file:
        file.write(b"torn")
    again = local_store(folder)
    (new,) = again.append(PERMIT, [sealed(2, b"b")])
    assert (new.segment == old.segment, new.offset) == (False, 0)
    assert (read_all(again, old, 1), read_all(again, new, 2)) == (b"a", b"b")
    again.close()


def test_leftovers_of_large_objects_are_discarded_and_nothing_else(
    store: LocalSegmentStore, folder: Path
) -> None:
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    store.begin_large(PERMIT, object_id(2)).write(payload(500))
    (folder / "notes.part").touch()
    again = local_store(folder)
    assert again.discard_unfinished(PERMIT) == 1
    assert again.discard_unfinished(PERMIT) == 0
    assert {file.name for file in folder.iterdir()} == {f"{location.segment}.seg", "notes.part"}
    again.close()


def test_strange_files_are_neither_listed_nor_opened(store: LocalSegmentStore, folder: Path) -> None:
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    real = folder / f"{location.segment}.seg"
    (folder / "notes.seg").touch()
    (folder / ("0" * 26 + ".seg")).symlink_to(real)
    (folder / ("1" * 26 + ".seg")).mkdir()
    os.mkfifo(folder / ("2" * 26 + ".seg"))
    assert [info.name for info in store.segments(PERMIT)] == [location.segment]
    for name in ("0" * 26, "1" * 26, "2" * 26):
        with pytest.raises(IntegrityBroken):
            store.open(PERMIT, Location(name, 0, location.length), object_id(1))


def test_a_name_from_the_index_can_be_no_path(store: LocalSegmentStore, folder: Path) -> None:
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    (folder / f"{location.segment}.seg").rename(folder.parent / f"{location.segment}.seg")
    for segment in (f"../{location.segment}", f"{folder.parent}/{location.segment}", "", ".", "a\0b"):
        with pytest.raises(IntegrityBroken, match="cannot be ours"):
            store.open(PERMIT, Location(segment, 0, location.length), object_id(1))


def test_a_segment_that_goes_while_listing_is_left_out(store: LocalSegmentStore) -> None:
    first, second = (store.begin_large(PERMIT, object_id(number)).finish() for number in range(2))
    listing = store.segments(PERMIT)
    assert next(listing).name == first.segment
    store.truncate_tail(PERMIT, second.segment, 0)
    assert list(listing) == []


def test_a_large_object_whose_file_was_taken_away_can_still_be_aborted(
    store: LocalSegmentStore, folder: Path
) -> None:
    large = store.begin_large(PERMIT, object_id(1))
    for file in folder.iterdir():
        file.unlink()
    large.abort()


def test_readers_keep_few_files_open(store: LocalSegmentStore, folder: Path) -> None:
    locations = []
    for number in range(12):
        large = store.begin_large(PERMIT, object_id(number))
        locations.append(large.finish())
    readers = [store.open(PERMIT, location, object_id(at)) for at, location in enumerate(locations)]
    assert [reader.read(0, 0) for reader in readers] == [b""] * 12
    store.append(PERMIT, [sealed(99, b"a")])
    links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    writing = 2  # the segment that is appended to, through the page cache and past it
    assert sum(link.parent == folder.resolve() for link in links) <= 4 + writing


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_free = os.dup(0)
    os.close(next_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_running_out_of_descriptors_is_no_damage(store: LocalSegmentStore) -> None:
    (location,) = store.append(PERMIT, [sealed(1, b"a")])
    with no_descriptors_left():
        with pytest.raises(OutOfResources) as raised:
            store.open(PERMIT, location, object_id(1))
        with pytest.raises(OutOfResources):
            list(store.segments(PERMIT))
        with pytest.raises(OutOfResources):
            store.begin_large(PERMIT, object_id(2))
    assert not isinstance(raised.value, IntegrityBroken)
    assert read_all(store, location, 1) == b"a"


def test_the_disk_of_the_process_is_posix(tmp_path: Path) -> None:
    """Each call of PosixFileSystem reaches the system call of its name."""
    system = PosixFileSystem()
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    descriptor = os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        assert system.pwritev(descriptor, [b"ab", b"cd"], 1) == 4
        assert system.pread(descriptor, 3, 2) == b"bcd"
        system.fdatasync(descriptor)
        system.ftruncate(descriptor, 3)
        system.rename("a", "b", directory)
        system.fsync(directory)
    finally:
        os.close(descriptor)
        os.close(directory)
    assert (tmp_path / "b").read_bytes() == b"\0ab"
