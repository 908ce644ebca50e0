"""The scrubber: sees everything, in its time, finds each flipped bit once, and goes on where it was."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.archive.scrub import Scrubber, ScrubPlan, described
from leadglass.audit.read import AuditLine, Filters, after
from leadglass.index.damages import Damages
from leadglass.index.engine import reading
from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted
from leadglass.model.event import Outcome
from leadglass.model.permit import Permit
from tests.support.archive_rig import ArchiveRig, ct_images

WEEK = timedelta(days=7)
OBJECTS = 5


@pytest.fixture
def full(running: ArchiveRig) -> ArchiveRig:
    for told in [running.submit(item) for item in ct_images(OBJECTS)]:
        told.result()
    return running


def scrubber(rig: ArchiveRig, bytes_per_step: int = 1 << 30) -> Scrubber:
    return Scrubber(Damages(rig.engine), rig.store, rig.committer, rig.clock, ScrubPlan(WEEK, bytes_per_step))


def permit(rig: ArchiveRig) -> Permit:
    return rig.permit(Verb.OPERATE)


def lines(rig: ArchiveRig, kind: str) -> list[AuditLine]:
    rig.committer.flush()
    with reading(rig.engine).connect() as connection:
        return list(after(connection, 0, Filters(kind=kind)))


def flip(rig: ArchiveRig, number: int) -> str:
    """Flip a bit in an object; its SOP Instance UID."""
    held = list(rig.index.inventory(permit(rig)))[number]
    location = held.stored.location
    path: Path = rig.folder / "segments" / f"{location.segment}.seg"
    with path.open("r+b") as segment:
        segment.seek(location.offset + location.length // 2)
        byte = segment.read(1)
        segment.seek(-1, 1)
        segment.write(bytes([byte[0] ^ 1]))
    return held.stored.sop_instance


def test_one_step_with_room_enough_reads_everything(full: ArchiveRig) -> None:
    scrub = scrubber(full)
    assert described(Damages(full.engine).last_pass(permit(full))) == "never"
    scrub.step(permit(full))
    last = Damages(full.engine).last_pass(permit(full))
    assert last is not None
    assert last.ended
    assert (last.objects, last.damaged) == (OBJECTS, 0)
    assert described(last).endswith(f"{OBJECTS} objects")


def test_a_pass_begins_again_when_it_is_due_and_not_before(full: ArchiveRig) -> None:
    scrub, damages = scrubber(full), Damages(full.engine)
    scrub.step(permit(full))
    first = damages.last_pass(permit(full))
    scrub.step(permit(full))
    assert damages.last_pass(permit(full)) == first
    full.clock.pass_s(WEEK.total_seconds())
    scrub.step(permit(full))
    second = damages.last_pass(permit(full))
    assert second is not None
    assert first is not None
    assert second.began_at_us - first.began_at_us == WEEK // timedelta(microseconds=1)
    assert second.objects == OBJECTS


def test_a_step_reads_no_more_than_it_may_and_a_restart_goes_on_there(full: ArchiveRig) -> None:
    one = next(iter(full.index.inventory(permit(full)))).stored.size_bytes
    scrub = scrubber(full, one)
    for _ in range(3):
        scrub.step(permit(full))
    scrub.keep(permit(full))
    halfway = Damages(full.engine).last_pass(permit(full))
    assert halfway is not None
    assert not halfway.ended
    assert 0 < halfway.objects < OBJECTS
    assert "so far" in described(halfway)
    again = scrubber(full)
    again.step(permit(full))
    last = Damages(full.engine).last_pass(permit(full))
    assert last is not None
    assert last.ended
    assert (last.objects, last.began_at_us) == (OBJECTS, halfway.began_at_us)


def test_an_object_larger_than_a_step_is_paid_for_by_later_steps(full: ArchiveRig) -> None:
    one = next(iter(full.index.inventory(permit(full)))).stored.size_bytes
    scrub, damages = scrubber(full, one // 4), Damages(full.engine)
    for _ in range(8):
        scrub.step(permit(full))
    scrub.keep(permit(full))
    at = damages.last_pass(permit(full))
    assert at is not None
    assert at.objects == 2


def test_a_flipped_bit_is_told_once_with_who_sent_it_and_again_when_it_is_well(full: ArchiveRig) -> None:
    hit = flip(full, 2)
    scrub = scrubber(full)
    for _ in range(2):
        scrub.step(permit(full))
        full.clock.pass_s(WEEK.total_seconds())
    [line] = lines(full, "instance.damaged")
    assert (line.event.instance, line.event.outcome) == (hit, Outcome.ALERT)
    assert "received from ct1" in line.event.reason
    [damaged] = Damages(full.engine).every(permit(full))
    assert damaged.sop_instance == hit
    flip(full, 2)
    scrub.step(permit(full))
    [mended] = lines(full, "instance.mended")
    assert mended.event.instance == hit
    assert Damages(full.engine).every(permit(full)) == []


def test_a_lost_key_is_damage_until_it_is_back(full: ArchiveRig) -> None:
    kept = list(full.keys.keys)
    full.keys.keys = []
    scrub = scrubber(full)
    scrub.step(permit(full))
    assert len(Damages(full.engine).every(permit(full))) == OBJECTS
    full.keys.keys = kept
    full.clock.pass_s(WEEK.total_seconds())
    scrub.step(permit(full))
    assert Damages(full.engine).every(permit(full)) == []


def test_what_was_erased_since_it_was_listed_is_no_damage(full: ArchiveRig) -> None:
    one = next(iter(full.index.inventory(permit(full)))).stored.size_bytes
    scrub = scrubber(full, one)
    scrub.step(permit(full))
    flip(full, 3)
    full.sql(
        "DELETE FROM instance WHERE id = (SELECT id FROM instance ORDER BY segment, offset LIMIT 1 OFFSET 3)"
    )
    for _ in range(OBJECTS + 1):
        scrub.step(permit(full))
    assert lines(full, "instance.damaged") == []


def test_it_takes_a_permit_for_operation(full: ArchiveRig) -> None:
    with pytest.raises(NotPermitted):
        scrubber(full).step(full.permit(Verb.STATUS))
