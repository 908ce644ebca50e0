"""Check finds every kind of damage, and changes nothing."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from leadglass.archive.check import DAMAGES_TOLD, CheckReport, Damage, Stage
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted, OutOfResources
from leadglass.model.instance import StoredInstance
from tests.support.archive_rig import LIMITS, ArchiveRig, ct_images
from tests.support.storage import OTHER_KEY, Call

SMALL = ct_images(3)
LARGE = ct_images(1, 9, rows=3000)[0]
assert len(LARGE.dataset) > LIMITS.in_memory_bytes


@pytest.fixture
def full(running: ArchiveRig) -> ArchiveRig:
    running.stored([*SMALL, LARGE])
    return running


def check(rig: ArchiveRig) -> CheckReport:
    permit = rig.permit(Verb.CHECK)
    rig.committer.flush()
    return rig.checker.check(permit, lambda _stage, _done, _total: None)


def whats(report: CheckReport) -> str:
    return "\n".join(damage.what for damage in report.damages)


def located(rig: ArchiveRig, item: SyntheticInstance) -> StoredInstance:
    held = rig.index.inventory(rig.permit(Verb.CHECK))
    return next(one.stored for one in held if one.stored.sop_instance == item.sop_instance)


def segment(rig: ArchiveRig, item: SyntheticInstance) -> Path:
    return rig.folder / "segments" / f"{located(rig, item).location.segment}.seg"


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_a_sound_archive_is_sound(full: ArchiveRig) -> None:
    told: list[tuple[Stage, int, int | None]] = []
    permit = full.permit(Verb.CHECK)
    full.committer.flush()
    report = full.checker.check(permit, lambda *step: told.append(step))
    assert report.sound
    assert (report.objects, report.segments, report.quarantined, report.unacknowledged) == (4, 2, 0, 0)
    assert report.size_bytes == sum(len(item.dataset) for item in (*SMALL, LARGE))
    assert report.audit_events >= 5
    assert (Stage.OBJECTS, 4, 4) in told
    assert (Stage.SEGMENTS, 2, 2) in told
    assert {stage for stage, _, _ in told} == set(Stage)


def test_it_changes_nothing(full: ArchiveRig) -> None:
    def digest() -> dict[str, bytes]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).digest()
            for path in (full.folder / "segments").iterdir()
        }

    before = digest()
    check(full)
    assert digest() == before


def test_an_empty_archive_is_sound(running: ArchiveRig) -> None:
    assert check(running).sound


def test_quarantined_objects_are_checked_too(full: ArchiveRig) -> None:
    item = SMALL[0]
    flipped = item.dataset[:-1] + bytes([item.dataset[-1] ^ 1])
    full.stored([SyntheticInstance(item.sop_class, item.sop_instance, item.transfer_syntax, flipped)])
    report = check(full)
    assert report.sound
    assert (report.objects, report.quarantined) == (5, 1)


def test_it_takes_a_permit_for_checking(full: ArchiveRig) -> None:
    with pytest.raises(NotPermitted):
        full.checker.check(full.permit(Verb.STATUS), lambda _stage, _done, _total: None)


def damaged_byte(rig: ArchiveRig) -> None:
    at = located(rig, SMALL[1]).location
    flip(segment(rig, SMALL[1]), at.offset + at.length - 30)


def damaged_header(rig: ArchiveRig) -> None:
    flip(segment(rig, SMALL[1]), located(rig, SMALL[1]).location.offset)


def test_a_damaged_object_alone_is_named_with_its_series_and_its_sender(full: ArchiveRig) -> None:
    stored = located(full, SMALL[1])
    (sender,) = {held.received_from for held in full.index.inventory(full.permit(Verb.CHECK))}
    assert sender
    damaged_byte(full)
    (damage,) = check(full).damages
    named = (damage.study, damage.series, damage.instance, damage.received_from)
    assert named == (stored.study, stored.series, stored.sop_instance, sender)


def cut_segment(rig: ArchiveRig) -> None:
    path = segment(rig, SMALL[0])
    path.write_bytes(path.read_bytes()[:-10])


def missing_segment(rig: ArchiveRig) -> None:
    segment(rig, LARGE).unlink()


def missing_segment_of_small_ones(rig: ArchiveRig) -> None:
    segment(rig, SMALL[0]).unlink()


def swapped_records(rig: ArchiveRig) -> None:
    one, other = (located(rig, item).location for item in SMALL[:2])
    rig.sql('UPDATE instance SET "offset" = :other WHERE "offset" = :one', other=other.offset, one=one.offset)


def wrong_digest(rig: ArchiveRig) -> None:
    rig.sql("UPDATE instance SET sha256 = zeroblob(32) WHERE sop_instance = :uid", uid=SMALL[2].sop_instance)


def wrong_size(rig: ArchiveRig) -> None:
    rig.sql("UPDATE instance SET size_bytes = 1 WHERE sop_instance = :uid", uid=SMALL[2].sop_instance)


def lost_key(rig: ArchiveRig) -> None:
    rig.keys.keys = [OTHER_KEY]


def missing_audit_line(rig: ArchiveRig) -> None:
    rig.sql("DELETE FROM audit_event WHERE seq = 2")


def edited_audit_line(rig: ArchiveRig) -> None:
    rig.sql("UPDATE audit_event SET body = x'7b7d' WHERE seq = 2")


def audit_line_of_another_kind_of_value(rig: ArchiveRig) -> None:
    rig.sql("UPDATE audit_event SET node = x'00', time_us = 'noon', body = '{}' WHERE seq = 2")


def checkpoint_of_another_kind_of_value(rig: ArchiveRig) -> None:
    rig.sql("INSERT INTO audit_checkpoint VALUES (9, 1, 1, 'NORTH', 'text', 'text')")


def trail_that_never_heard_of_it(rig: ArchiveRig) -> None:
    rig.sql("DELETE FROM audit_event")


DAMAGES: list[tuple[Callable[[ArchiveRig], None], str, int]] = [
    (damaged_byte, "segments/", 1),
    (damaged_header, "segments/", 1),
    (cut_segment, "segments/", 1),
    (missing_segment, "cannot be read", 1),
    (missing_segment_of_small_ones, "cannot be read", 3),
    (swapped_records, "segments/", 1),
    (wrong_digest, "not those that were received", 1),
    (wrong_size, "not those that were received", 1),
    (lost_key, "", 4),
    (missing_audit_line, "audit: ", 2),
    (edited_audit_line, "audit: line 2 is not what was written", 1),
    (audit_line_of_another_kind_of_value, "audit: line 2 is not what was written", 1),
    (checkpoint_of_another_kind_of_value, "audit: checkpoint 9", 1),
    (trail_that_never_heard_of_it, "the audit trail does not say that it was stored", 4),
]


@pytest.mark.parametrize(("harm", "says", "at_least"), DAMAGES, ids=[row[0].__name__ for row in DAMAGES])
def test_damage_is_found(
    full: ArchiveRig, harm: Callable[[ArchiveRig], None], says: str, at_least: int
) -> None:
    harm(full)
    report = check(full)
    assert not report.sound
    assert says in whats(report)
    assert report.damage_count >= at_least


def test_a_missing_row_shows_as_bytes_that_nobody_knows(full: ArchiveRig) -> None:
    full.sql("DELETE FROM instance WHERE sop_instance = :uid", uid=SMALL[2].sop_instance)
    report = check(full)
    assert report.unacknowledged == 1
    assert "stored, but the index does not hold it" in whats(report)


def test_a_torn_tail_is_no_damage(full: ArchiveRig) -> None:
    with segment(full, SMALL[0]).open("ab") as file:
        file.write(b"half a record")
    report = check(full)
    assert report.sound
    assert report.unacknowledged == 1


def test_a_segment_that_the_disk_does_not_give_is_damage(full: ArchiveRig) -> None:
    permit = full.permit(Verb.CHECK)
    full.committer.flush()
    full.disk.failures += [(Call.PREAD, errno.EIO)] * 40
    report = full.checker.check(permit, lambda _stage, _done, _total: None)
    assert report.damage_count == 6  # four objects, and the two segments they lie in


def test_a_broken_trail_hides_no_broken_object(full: ArchiveRig) -> None:
    edited_audit_line(full)
    wrong_digest(full)
    says = whats(check(full))
    assert "audit" in says
    assert "not those that were received" in says


def test_a_broken_database_is_damage(full: ArchiveRig) -> None:
    full.sql("DROP TABLE quarantine")
    assert "no such table" in whats(check(full))


def test_a_dangling_row_is_damage(full: ArchiveRig) -> None:
    with full.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("UPDATE instance SET series = 99")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("BEGIN")
    assert "index: foreign_key_check" in whats(check(full))


def test_a_busy_database_is_no_damage(full: ArchiveRig) -> None:
    permit = full.permit(Verb.CHECK)
    full.committer.flush()
    full.disk.failures += [(Call.PREAD, errno.EIO)] * 40

    def busy(stage: Stage, _done: int, _total: int | None) -> None:
        if stage is Stage.OBJECTS:
            raise OutOfResources("index: database is locked")

    with pytest.raises(OutOfResources):
        full.checker.check(permit, busy)


def test_what_is_stored_while_it_looks_is_no_damage(full: ArchiveRig) -> None:
    late = ct_images(1, seed=4)
    permit = full.permit(Verb.CHECK)
    full.committer.flush()

    def store_meanwhile(stage: Stage, _done: int, _total: int | None) -> None:
        if stage is Stage.AUDIT and late:
            full.stored([late.pop()])

    report = full.checker.check(permit, store_meanwhile)
    assert report.sound
    assert report.objects == 5


def test_all_damages_are_counted_and_the_first_thousand_told() -> None:
    report = CheckReport()
    for number in range(DAMAGES_TOLD + 5):
        report.add(Damage(str(number)))
    assert report.damage_count == DAMAGES_TOLD + 5
    assert len(report.damages) == DAMAGES_TOLD
