"""Copies of segments: bodies only grow, headers are of one moment, and damage is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.model.errors import IntegrityBroken
from leadglass.model.instance import Location
from leadglass.storage import LocalSegmentStore
from leadglass.storage.copies import BODY, HEADERS, STATE, Named, SegmentCopies, SegmentCopy
from leadglass.storage.record import HEADER_BYTES
from leadglass.storage.store import Record
from tests.support.storage import (
    OTHER_KEY,
    PERMIT,
    SITE_KEY,
    KeyRing,
    local_store,
    object_id,
    payload,
    sealed,
)

LATER_NS = 1 << 62


class Rig:
    """A store with one segment, and its copy."""

    def __init__(self, folder: Path) -> None:
        self.segments = folder / "segments"
        self.folder = folder / "backup"
        self.folder.mkdir()
        self.ring = KeyRing(SITE_KEY)
        self.store: LocalSegmentStore = local_store(self.segments, keys=self.ring)
        self.copies = SegmentCopies(self.folder)
        self.records: list[Record] = []
        self.copied_bytes = 0

    def append(self, count: int) -> None:
        for _ in range(count):
            number = len(self.records)
            [location] = self.store.append(PERMIT, [sealed(number, payload(500, number))])
            self.records.append(Record(location, object_id(number)))

    @property
    def named(self) -> Named:
        places = [record.location for record in self.records]
        return Named(
            places[0].segment, [place.offset for place in places], places[-1].offset + places[-1].length
        )

    def update(self, now_ns: int = LATER_NS) -> SegmentCopy:
        self.copied_bytes = 0
        [info] = self.store.segments(PERMIT)
        return self.copies.update(PERMIT, self.store, info, self.named, now_ns, self._copied)

    def _copied(self, length: int) -> None:
        self.copied_bytes += length

    def segment(self) -> bytes:
        return self.store.sealed(PERMIT, Location(self.named.segment, 0, self.named.end))

    def read(self, copy: SegmentCopy) -> bytes:
        problems: list[str] = []
        content = b"".join(self.copies.read(copy, problems.append))
        assert problems == []
        return content

    def files(self, suffix: str) -> list[Path]:
        return sorted(self.folder.glob(f"*{suffix}"))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.append(3)
    return made


def test_a_copy_reads_as_the_segment_and_its_body_holds_no_header(rig: Rig) -> None:
    copy = rig.update()
    assert rig.read(copy) == rig.segment()
    [body] = rig.files(BODY)
    for offset in rig.named.offsets:
        assert not any(body.read_bytes()[offset : offset + HEADER_BYTES])


def test_only_what_is_new_is_copied_and_an_older_copy_stays_as_it_was(rig: Rig) -> None:
    first, before = rig.update(), rig.segment()
    rig.append(2)
    second = rig.update()
    assert rig.copied_bytes == second.body_bytes - first.body_bytes
    assert rig.read(first) == before
    assert rig.read(second) == rig.segment()
    rig.update()
    assert rig.copied_bytes == 0


def test_headers_that_changed_are_copied_anew_and_nothing_else(rig: Rig) -> None:
    first, before = rig.update(), rig.segment()
    rig.ring.keys.append(OTHER_KEY)
    rig.store.rewrap(PERMIT, rig.records)
    second = rig.update()
    assert rig.copied_bytes == 0
    assert second.headers != first.headers
    assert rig.read(second) == rig.segment()
    assert rig.read(first) == before


def test_what_was_written_a_moment_ago_is_looked_at_again(rig: Rig) -> None:
    [info] = rig.store.segments(PERMIT)
    rig.update(info.changed_ns + 1)
    rig.store.erase(PERMIT, rig.records[:1])
    assert rig.read(rig.update(info.changed_ns + 2)) == rig.segment()


def test_an_erased_object_is_in_no_file_once_older_copies_are_gone(rig: Rig) -> None:
    key = rig.segment()[:HEADER_BYTES][-52:-4]  # the wrapped data key of the first record
    rig.update()
    assert any(key in path.read_bytes() for path in rig.folder.iterdir())
    rig.store.erase(PERMIT, rig.records[:1])
    del rig.records[0]
    latest = rig.update()
    assert rig.copies.keep_only([latest]) > 0
    assert not any(key in path.read_bytes() for path in rig.folder.iterdir())
    assert rig.read(latest) == rig.segment()


def test_segments_that_no_snapshot_uses_are_removed(rig: Rig) -> None:
    rig.update()
    rig.copies.keep_only([])
    assert list(rig.folder.iterdir()) == []


def test_what_a_broken_off_backup_left_is_cut_and_copied_again(rig: Rig) -> None:
    rig.update()
    [body] = rig.files(BODY)
    with body.open("ab") as file:
        file.write(b"half a record")
    rig.append(1)
    assert rig.read(rig.update()) == rig.segment()


@pytest.mark.parametrize("lost", [BODY, STATE, HEADERS])
def test_a_file_of_a_copy_that_was_lost_is_made_anew(rig: Rig, lost: str) -> None:
    rig.update()
    for path in rig.files(lost):
        path.unlink()
    rig.append(1)
    assert rig.read(rig.update()) == rig.segment()


def test_headers_that_rotted_in_the_backup_are_made_anew(rig: Rig) -> None:
    rig.update()
    [headers] = rig.files(HEADERS)
    headers.write_bytes(bytes(len(headers.read_bytes())))
    rig.append(1)
    assert rig.read(rig.update()) == rig.segment()


def test_headers_that_rotted_and_have_not_changed_are_made_anew_too(rig: Rig) -> None:
    [info] = rig.store.segments(PERMIT)
    rig.update(info.changed_ns + 1)  # looked at again, for it was written a moment ago
    [headers] = rig.files(HEADERS)
    headers.write_bytes(b"")
    assert rig.read(rig.update()) == rig.segment()


def test_flipped_bits_are_told_with_their_place(rig: Rig) -> None:
    copy = rig.update()
    [body] = rig.files(BODY)
    content = bytearray(body.read_bytes())
    content[HEADER_BYTES + 7] ^= 1
    body.write_bytes(content)
    problems: list[str] = []
    assert len(b"".join(rig.copies.read(copy, problems.append))) == copy.body_bytes
    assert len(problems) == 1
    assert "are not those that were copied" in problems[0]


def test_headers_that_were_changed_or_lost_are_refused(rig: Rig) -> None:
    copy = rig.update()
    [headers] = rig.files(HEADERS)
    headers.write_bytes(headers.read_bytes()[:-1])
    with pytest.raises(IntegrityBroken, match="damaged"):
        rig.read(copy)
    headers.unlink()
    with pytest.raises(IntegrityBroken, match="cannot be read"):
        rig.read(copy)


def test_a_body_that_is_too_short_is_refused(rig: Rig) -> None:
    copy = rig.update()
    [body] = rig.files(BODY)
    body.write_bytes(body.read_bytes()[:-1])
    problems: list[str] = []
    with pytest.raises(IntegrityBroken, match=f"has {copy.body_bytes - 1} bytes of {copy.body_bytes}"):
        list(rig.copies.read(copy, problems.append))
    assert "are not those that were copied" in problems[0]


def read_with_problems(rig: Rig, copy: SegmentCopy) -> tuple[bytes, list[str]]:
    problems: list[str] = []
    return b"".join(rig.copies.read(copy, problems.append)), problems


def test_a_state_that_is_lost_or_rotten_is_told_and_costs_no_object(rig: Rig) -> None:
    copy, before = rig.update(), rig.segment()
    [path] = rig.files(STATE)
    state = path.read_bytes()
    for bit in range(len(state) * 8):
        rotten = bytearray(state)
        rotten[bit // 8] ^= 1 << bit % 8
        path.write_bytes(rotten)
        content, problems = read_with_problems(rig, copy)
        assert content == before
        assert len(problems) == 1, f"bit {bit}"
        assert f"{path.name} is damaged" in problems[0]
    path.unlink()
    content, problems = read_with_problems(rig, copy)
    assert content == before
    assert problems == [f"{path.name} cannot be read: No such file or directory"]


def test_a_state_of_before_there_was_a_digest_is_read(rig: Rig) -> None:
    copy, before = rig.update(), rig.segment()
    [path] = rig.files(STATE)
    line = path.read_bytes().split(b"\n")[0]
    path.write_bytes(line)
    assert read_with_problems(rig, copy) == (before, [])


def test_a_state_that_knows_too_little_is_told_and_what_it_knows_is_compared(rig: Rig) -> None:
    rig.update()
    [path] = rig.files(STATE)
    earlier = path.read_bytes()
    rig.append(1)
    copy, before = rig.update(), rig.segment()
    path.write_bytes(earlier)
    content, [problem] = read_with_problems(rig, copy)
    assert content == before
    assert f"bytes of {copy.body_bytes}" in problem


def test_records_are_read_out_of_a_copy_at_random(rig: Rig) -> None:
    rig.append(1)
    copy, segment = rig.update(), rig.segment()
    with rig.copies.opened(copy) as copied:
        for record in rig.records:
            at = record.location
            raw = copied.read_at(at.segment, at.offset, at.length)
            assert raw == segment[at.offset : at.offset + at.length]
            assert copied.header(at.offset) == raw[:HEADER_BYTES]
        assert copied.read_at(copy.segment, 7, HEADER_BYTES) == segment[7 : 7 + HEADER_BYTES]
        assert copied.read_at(copy.segment, copy.body_bytes - 3, 10) == segment[-3:]
        assert copied.read_at(copy.segment, copy.body_bytes + 3, 10) == b""
        assert copied.header(7) == b""


def test_of_a_segment_that_is_lost_the_backup_has_what_it_had(rig: Rig) -> None:
    assert rig.copies.as_it_was(rig.named) is None
    copy, before = rig.update(), rig.segment()
    rig.append(1)
    assert rig.copies.as_it_was(rig.named) == copy
    assert rig.read(copy) == before


def test_no_name_of_a_manifest_is_a_path(rig: Rig) -> None:
    with pytest.raises(IntegrityBroken, match="cannot be ours"):
        rig.read(SegmentCopy("../../etc/passwd", 10, "0" * 64))
