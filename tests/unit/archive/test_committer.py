"""Group commit, and what happens when disk, index or trail fail."""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from leadglass.archive.committer import MAX_WAITING_EVENTS
from leadglass.archive.jobs import MAX_BATCH_OBJECTS, Stored
from leadglass.archive.recover import recover
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.model.action import Verb
from leadglass.model.errors import AuditFailed, LocalError, OutOfResources, StorageFailed
from leadglass.model.event import AuditEvent, Outcome
from leadglass.storage.health import StoreState
from leadglass.storage.keys import SiteKey
from tests.support.archive_rig import LIMITS, ArchiveRig, Told, archive_rig, ct_images
from tests.support.storage import Call

STARTED = AuditEvent("server.started", Outcome.DONE, "NORTH")


def commits(rig: ArchiveRig) -> list[None]:
    """Grows with each transaction that is committed from now on."""
    seen: list[None] = []
    event.listen(rig.engine, "commit", lambda _connection: seen.append(None))
    return seen


def changed(item: SyntheticInstance) -> SyntheticInstance:
    """The same object with another pixel."""
    return replace(item, dataset=item.dataset[:-1] + bytes([item.dataset[-1] ^ 1]))


def troubled(rig: ArchiveRig) -> bool:
    return rig.committer.failure is not None


def large(seed: int = 9) -> SyntheticInstance:
    """An object that streams: above what the rig holds in memory."""
    item = ct_images(1, seed, rows=3000)[0]
    assert len(item.dataset) > LIMITS.in_memory_bytes
    return item


def segment_files(rig: ArchiveRig) -> list[Path]:
    return sorted((rig.folder / "segments").iterdir())


def test_many_objects_are_one_sync_and_one_transaction(rig: ArchiveRig) -> None:
    told = [rig.submit(item) for item in ct_images(20)]
    counted = commits(rig)
    rig.start()
    assert [one.result() for one in told] == [Stored.NEW] * 20
    rig.committer.flush()
    assert rig.disk.calls.count(Call.FDATASYNC) == 1
    assert len(counted) == 1
    assert rig.index.counts(rig.permit(Verb.CHECK)).instances == 20
    assert len(rig.audit("instance.stored")) == 20


def test_a_batch_has_a_bound(rig: ArchiveRig) -> None:
    told = [rig.submit(item) for item in ct_images(MAX_BATCH_OBJECTS + 1, rows=1)]
    counted = commits(rig)
    rig.start()
    assert {one.result() for one in told} == {Stored.NEW}
    rig.committer.flush()
    assert len(counted) == 2


def test_nobody_is_told_before_the_bytes_are_durable(rig: ArchiveRig) -> None:
    order: list[str] = []
    event.listen(rig.engine, "commit", lambda _connection: order.append("committed"))
    incoming = rig.incoming(ct_images(1)[0])
    incoming.fragment(ct_images(1)[0].dataset)
    incoming.finish(lambda _result: order.extend([*map(str, rig.disk.calls), "told"]))
    rig.start()
    rig.committer.flush()
    assert order.index("committed") < order.index("told")
    assert order.index(str(Call.FDATASYNC)) < order.index("told")


def test_an_identical_resend_is_acknowledged_and_not_kept_twice(running: ArchiveRig) -> None:
    item = ct_images(1)[0]
    assert running.stored([item]) == [Stored.NEW]
    size = segment_files(running)[0].stat().st_size
    assert running.stored([item]) == [Stored.IDENTICAL]
    assert segment_files(running)[0].stat().st_size == size
    assert running.index.counts(running.permit(Verb.CHECK)).instances == 1
    assert [line.event.outcome for line in running.audit("instance.repeated")] == [Outcome.DONE]


def test_other_bytes_under_a_known_uid_are_quarantined_with_an_alert(running: ArchiveRig) -> None:
    item = ct_images(1)[0]
    assert running.stored([item, changed(item)]) == [Stored.NEW, Stored.QUARANTINED]
    held = list(running.index.inventory(running.permit(Verb.CHECK)))
    served = [one.stored for one in held if one.quarantined is None]
    assert len(held) == 2
    assert len(served) == 1
    reader = running.store.open(running.permit(Verb.CHECK), served[0].location, served[0].object_id)
    assert b"".join(reader.chunks()) == item.dataset
    alert = running.audit("instance.quarantined")[0].event
    assert alert.outcome is Outcome.ALERT
    assert alert.instance == item.sop_instance


def test_a_conflict_that_repeats_fills_no_disk(running: ArchiveRig) -> None:
    item = ct_images(1)[0]
    running.stored([item, changed(item)])
    size = segment_files(running)[0].stat().st_size
    assert running.stored([changed(item)]) == [Stored.QUARANTINED]
    assert segment_files(running)[0].stat().st_size == size
    assert running.index.counts(running.permit(Verb.CHECK)).quarantined == 1


def test_twins_in_one_batch_are_kept_once(rig: ArchiveRig) -> None:
    item = ct_images(1)[0]
    told = [rig.submit(one) for one in (item, item, changed(item), changed(item))]
    rig.start()
    results = [one.result() for one in told]
    assert results == [Stored.NEW, Stored.IDENTICAL, Stored.QUARANTINED, Stored.QUARANTINED]
    permit = rig.permit(Verb.CHECK)
    counts = rig.index.counts(permit)
    assert (counts.instances, counts.quarantined) == (1, 1)
    assert len(list(rig.store.scan(permit, next(rig.store.segments(permit)).name))) == 2


def test_a_large_object_streams_and_comes_back(running: ArchiveRig) -> None:
    item = large()
    told = running.submit(item)
    assert told.result() is Stored.NEW
    held = next(running.index.inventory(running.permit(Verb.CHECK))).stored
    reader = running.store.open(running.permit(Verb.CHECK), held.location, held.object_id)
    assert b"".join(reader.chunks()) == item.dataset


def test_large_twins_leave_nothing_behind(rig: ArchiveRig) -> None:
    told = [rig.submit(large()) for _ in range(2)]
    rig.start()
    assert [one.result() for one in told] == [Stored.NEW, Stored.IDENTICAL]
    assert rig.submit(large()).result() is Stored.IDENTICAL
    assert len(segment_files(rig)) == 1


def test_a_large_conflict_is_kept_and_repeats_are_not(running: ArchiveRig) -> None:
    item = large()
    told = [running.submit(one).result() for one in (item, changed(item), changed(item))]
    assert told == [Stored.NEW, Stored.QUARANTINED, Stored.QUARANTINED]
    assert len(segment_files(running)) == 2


def test_a_full_disk_acknowledges_nothing_and_the_service_resumes(running: ArchiveRig) -> None:
    first, second = ct_images(2)
    running.disk.room_bytes = 100
    result = running.submit(first).result()
    assert isinstance(result, StorageFailed)
    assert result.dimse_status == 0xA700
    running.disk.room_bytes = None
    assert running.submit(second).result() is Stored.NEW
    assert running.submit(first).result() is Stored.NEW
    refused = running.audit("instance.refused")
    assert [line.event.instance for line in refused] == [first.sop_instance]
    assert running.index.counts(running.permit(Verb.CHECK)).instances == 2


def test_when_one_of_a_batch_fails_all_fail(rig: ArchiveRig) -> None:
    told = [rig.submit(item) for item in (*ct_images(3), large())]
    rig.disk.failures.append((Call.FDATASYNC, errno.ENOSPC))
    rig.start()
    assert {type(one.result()) for one in told} == {StorageFailed}
    rig.committer.flush()
    counts = rig.index.counts(rig.permit(Verb.CHECK))
    assert (counts.instances, counts.quarantined) == (0, 0)


def test_after_a_failed_sync_nothing_is_acknowledged_any_more(running: ArchiveRig) -> None:
    running.disk.failures.append((Call.FDATASYNC, errno.EIO))
    results = [running.submit(item).result() for item in ct_images(2)]
    assert all(isinstance(result, StorageFailed) for result in results)
    assert running.store.state is StoreState.FAILED


def test_while_the_trail_cannot_be_written_nothing_may_happen_and_its_lines_are_kept(
    running: ArchiveRig,
) -> None:
    first, second = ct_images(2)
    with running.without_table("audit_event"):
        result = running.submit(first).result()
        assert isinstance(result, OutOfResources)
        assert troubled(running)
        with pytest.raises(AuditFailed):
            running.committer.record([STARTED])
        with pytest.raises(AuditFailed):
            running.committer.flush()
        running.committer.note([STARTED])  # it has happened
    running.committer.flush()
    assert not troubled(running)
    running.committer.record([replace(STARTED, kind="server.stopped")])
    assert running.submit(second).result() is Stored.NEW
    kinds = [line.event.kind for line in running.audit()]
    assert kinds == ["instance.refused", "server.started", "server.stopped", "instance.stored"]
    assert running.index.counts(running.permit(Verb.CHECK)).instances == 1


def test_a_failing_index_refuses_all_and_the_service_resumes(running: ArchiveRig) -> None:
    items = ct_images(2)
    with running.without_table("instance"):
        results = [running.submit(item).result() for item in items]
    assert all(isinstance(result, OutOfResources) for result in results)
    assert running.stored(items) == [Stored.NEW, Stored.NEW]


def test_a_large_object_whose_transaction_failed_is_removed_once_a_later_one_is_durable(
    running: ArchiveRig,
) -> None:
    with running.without_table("series"):
        assert isinstance(running.submit(large()).result(), OutOfResources)
        running.committer.flush()
    assert segment_files(running) == []
    assert running.submit(large()).result() is Stored.NEW
    assert not recover(running.recovery, running.permit(Verb.OPERATE)).anything


def test_an_orphan_that_cannot_be_removed_is_left_and_nothing_else_suffers(rig: ArchiveRig) -> None:
    told = rig.submit(large())
    with rig.without_table("audit_event"):
        rig.start()
        assert isinstance(told.result(), OutOfResources)
        for path in segment_files(rig):
            path.unlink()  # so that there is nothing to remove
    rig.committer.flush()
    assert rig.stored(ct_images(1)) == [Stored.NEW]


def test_without_a_key_nothing_is_stored(running: ArchiveRig) -> None:
    keys, running.keys.keys = running.keys.keys, list[SiteKey]()
    result = running.submit(ct_images(1)[0]).result()
    assert isinstance(result, OutOfResources)
    running.keys.keys = keys
    assert running.stored(ct_images(1)) == [Stored.NEW]


def test_a_line_that_no_trail_may_hold_is_refused_at_once_and_sinks_nobody(running: ArchiveRig) -> None:
    poison = AuditEvent("no.such.kind", Outcome.DONE, "x")
    with pytest.raises(LocalError):
        running.committer.record([STARTED, poison])
    named = AuditEvent("query.answered", Outcome.DONE, "x", patient_id="SYN-0001")
    with pytest.raises(LocalError):
        running.committer.note([named])
    running.committer.record([STARTED])
    running.committer.record([])
    running.committer.flush()
    assert [line.event.kind for line in running.audit()] == ["server.started"]


def test_a_trail_that_is_behind_takes_no_more(rig: ArchiveRig) -> None:
    rig.committer.record([STARTED] * (MAX_WAITING_EVENTS + 1))  # nobody commits yet
    with pytest.raises(AuditFailed, match="behind"):
        rig.committer.record([STARTED])


def test_lines_that_come_while_others_are_committed_are_all_written_in_order(running: ArchiveRig) -> None:
    def told(number: int) -> AuditEvent:
        return replace(STARTED, reason=str(number))

    for number in range(2_000):
        running.committer.record([told(number)])
        if number % 50 == 0:
            time.sleep(0.001)  # let the thread catch up, wait and be woken again
    running.committer.flush()
    assert [line.event.reason for line in running.audit()] == [str(number) for number in range(2_000)]


def test_stop_commits_all_that_is_queued_and_signs_the_end(rig: ArchiveRig) -> None:
    told = [rig.submit(item) for item in ct_images(MAX_BATCH_OBJECTS + 5, rows=1)]
    rig.start()
    rig.committer.stop()
    assert all(one.any for one in told)
    assert rig.index.counts(rig.permit_for_counting()).instances == MAX_BATCH_OBJECTS + 5
    assert (rig.folder / "audit.checkpoints").read_text().count("\n") == 1
    rig.committer.stop()


def test_after_the_end_everybody_is_turned_away(running: ArchiveRig) -> None:
    running.committer.stop()
    assert not running.committer.alive
    with pytest.raises(AuditFailed):
        running.committer.record([STARTED])
    with pytest.raises(AuditFailed):
        running.committer.note([STARTED])
    with pytest.raises(AuditFailed):
        running.committer.flush()


def test_a_store_that_comes_too_late_is_told(rig: ArchiveRig) -> None:
    incoming, told = rig.incoming(ct_images(1)[0]), Told()
    incoming.fragment(ct_images(1)[0].dataset)
    rig.start()
    rig.committer.stop()
    incoming.finish(told)
    assert isinstance(told.result(), OutOfResources)
    assert rig.ingest.budget.held_bytes == 0


class BuggyDiskError(Exception):
    """Stands for any bug of ours: nothing that the committer expects."""


@pytest.fixture
def broken_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    broken: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: broken.append(args.exc_type.__name__))
    return broken


def test_a_bug_ends_the_thread_and_leaves_nobody_waiting(
    rig: ArchiveRig, broken_threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_args: object) -> int:
        raise BuggyDiskError

    monkeypatch.setattr(rig.disk, "pwritev", explode)
    told = [rig.submit(item) for item in ct_images(MAX_BATCH_OBJECTS + 3, rows=1)]
    rig.start()
    assert {type(one.result()) for one in told} == {OutOfResources}
    rig.committer.stop()
    assert broken_threads == ["BuggyDiskError"]
    assert not rig.committer.alive
    with pytest.raises(AuditFailed):
        rig.committer.flush()


def test_a_checkpoint_that_fails_ends_nothing(tmp_path: Path) -> None:
    with archive_rig(tmp_path) as rig:
        rig.start()
        rig.stored(ct_images(1))
        (rig.folder / "audit.checkpoints").mkdir()
        rig.committer.stop()
        assert not rig.committer.alive


def test_it_signs_the_trail_when_it_is_idle(rig: ArchiveRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadglass.archive.committer.IDLE_CHECKPOINT_S", 0.01)
    signed = threading.Event()
    event.listen(
        rig.engine,
        "before_cursor_execute",
        lambda _c, _cursor, sql, *_rest: signed.set() if "INSERT INTO audit_checkpoint" in sql else None,
    )
    rig.start()
    rig.committer.record([STARTED])
    assert signed.wait(20)
