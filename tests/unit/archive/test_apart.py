"""What comes from an address that is being learned: acknowledged, durable, apart, and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.archive.adoption import Adopted, Adoption, adopt
from leadglass.archive.apart import ApartLimits
from leadglass.archive.jobs import Stored, StoreResult
from leadglass.dataset.synthetic import PATIENTS, SyntheticInstance
from leadglass.index.entries import Conflict
from leadglass.index.learned import Adopter, LearnedObjects
from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted, OutOfResources
from leadglass.model.event import Outcome
from leadglass.model.query import Level, RetrieveKeys
from tests.support.archive_rig import CT1, LIMITS, POLICY, WS1, ArchiveRig, archive_rig, ct_images

WATCHING = f"""{POLICY}
[learning]
mr1 = {{ ip = "127.0.0.2", zone = "legacy", until = 2026-12-06 }}
mr2 = {{ ip = "127.0.0.3", zone = "legacy", until = 2026-12-06 }}
"""
MR1 = replace(CT1, address="127.0.0.2", calling_ae="MAGNET")
MR2 = replace(CT1, address="127.0.0.3", calling_ae="COIL")
IMAGE, OTHER = ct_images(2)
LARGE = ct_images(1, 7, rows=4000)[0]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ArchiveRig]:
    with archive_rig(tmp_path / "archive", policy_text=WATCHING) as rig:
        yield rig


@pytest.fixture
def running(rig: ArchiveRig) -> ArchiveRig:
    rig.start()
    return rig


def changed(item: SyntheticInstance) -> SyntheticInstance:
    return replace(item, dataset=item.dataset[:-1] + bytes([item.dataset[-1] ^ 1]))


def learned(rig: ArchiveRig, *items: SyntheticInstance) -> list[StoreResult]:
    told = [rig.submit(item, peer=MR1) for item in items]
    return [one.result() for one in told]


def kept(rig: ArchiveRig) -> list[Conflict | None]:
    return [held.quarantined for held in rig.index.inventory(rig.permit(Verb.CHECK))]


@pytest.mark.parametrize("item", [IMAGE, LARGE], ids=["small", "large"])
def test_it_is_durable_when_it_is_acknowledged_and_nobody_is_served_it(
    running: ArchiveRig, item: SyntheticInstance
) -> None:
    assert learned(running, item) == [Stored.QUARANTINED]
    [held] = running.index.inventory(running.permit(Verb.CHECK))
    assert (held.quarantined, held.received_from) == (Conflict.LEARNED, "learning:mr1")
    reader = running.store.open(running.permit(Verb.CHECK), held.stored.location, held.stored.object_id)
    assert b"".join(reader.chunks()) == item.dataset
    counts = running.index.counts(running.permit(Verb.CHECK))
    assert (counts.studies, counts.instances, counts.quarantined) == (0, 0, 1)
    get = running.gate.permit(
        WS1, replace(running.permit(Verb.CHECK).action, verb=Verb.GET, target="archive")
    )
    assert running.index.locate(get, RetrieveKeys(Level.STUDY, None, (held.stored.study,), (), ())) == []


def test_its_line_says_who_sent_what_and_raises_no_alert(running: ArchiveRig) -> None:
    learned(running, IMAGE)
    [line] = running.audit("instance.learned")
    event = line.event
    assert (event.who, event.rule, event.outcome) == ("learning:mr1", "learning mr1", Outcome.DONE)
    assert (event.modality, event.instance) == ("CT", IMAGE.sop_instance)
    assert running.audit("instance.quarantined") == []


def test_a_repeat_is_acknowledged_and_not_kept_twice(running: ArchiveRig) -> None:
    assert learned(running, IMAGE, IMAGE) == [Stored.QUARANTINED, Stored.IDENTICAL]
    assert learned(running, IMAGE) == [Stored.IDENTICAL]
    assert kept(running) == [Conflict.LEARNED]


def test_each_sender_is_kept_of_its_own(running: ArchiveRig) -> None:
    learned(running, IMAGE)
    assert running.submit(IMAGE, peer=MR2).result() is Stored.QUARANTINED
    assert kept(running) == [Conflict.LEARNED] * 2


def test_other_bytes_under_the_same_uid_are_kept_beside_the_first(running: ArchiveRig) -> None:
    assert learned(running, IMAGE, changed(IMAGE)) == [Stored.QUARANTINED] * 2


def test_what_is_served_already_is_acknowledged_and_not_kept(running: ArchiveRig) -> None:
    running.stored([IMAGE])
    assert learned(running, IMAGE) == [Stored.IDENTICAL]
    assert kept(running) == [None]


def test_it_keeps_nothing_out_of_the_archive_that_a_device_sends(running: ArchiveRig) -> None:
    learned(running, IMAGE, changed(OTHER))
    assert running.stored([IMAGE, OTHER]) == [Stored.NEW, Stored.NEW]
    assert running.audit("instance.quarantined") == []
    assert sorted(map(str, kept(running))) == sorted(map(str, [None, None, *[Conflict.LEARNED] * 2]))


def test_one_batch_may_hold_both(rig: ArchiveRig) -> None:
    told = [rig.submit(IMAGE, peer=MR1), rig.submit(IMAGE), rig.submit(OTHER, peer=MR1), rig.submit(OTHER)]
    rig.start()
    assert [one.result() for one in told] == [Stored.QUARANTINED, Stored.NEW] * 2


@pytest.mark.parametrize(
    "limits",
    [ApartLimits(objects=2), ApartLimits(size_bytes=2 * len(IMAGE.dataset) + 200)],
    ids=["objects", "bytes"],
)
def test_past_its_room_it_is_refused_and_remembered_and_devices_are_not(
    rig: ArchiveRig, limits: ApartLimits
) -> None:
    rig.committer._apart = limits
    items = ct_images(4)
    told = [rig.submit(item, peer=MR1) for item in items[:3]]
    rig.start()
    assert [one.result() for one in told[:2]] == [Stored.QUARANTINED] * 2
    refused = told[2].result()
    assert isinstance(refused, OutOfResources)
    assert refused.dimse_status == 0xA700
    assert isinstance(learned(rig, LARGE)[0], OutOfResources)  # counted from the index, and after a restart
    assert rig.submit(IMAGE, peer=MR2).result() is Stored.QUARANTINED
    assert rig.stored([items[3]]) == [Stored.NEW]
    lines = [line.event for line in rig.audit("instance.refused")]
    assert [(line.who, line.outcome) for line in lines] == [("learning:mr1", Outcome.FAILED)] * 2
    assert "all that is kept of learning:mr1" in lines[0].reason
    rig.committer.flush()
    assert rig.ingest.budget.held_bytes == 0


def test_one_object_alone_cannot_fill_the_disk(tmp_path: Path) -> None:
    limits = replace(LIMITS, apart_bytes=len(LARGE.dataset) // 2)
    with archive_rig(tmp_path / "archive", policy_text=WATCHING, limits=limits) as rig:
        rig.start()
        with pytest.raises(OutOfResources):
            rig.submit(LARGE, peer=MR1)
        assert rig.stored([LARGE]) == [Stored.NEW]


def test_a_permit_for_quarantine_serves_nothing(running: ArchiveRig) -> None:
    learned(running, IMAGE)
    apart = running.gate.permit_part(
        MR1, replace(running.permit(Verb.CHECK).action, verb=Verb.STORE, target="archive")
    )
    with running.index.transaction() as transaction, pytest.raises(NotPermitted):
        transaction.insert_many([(apart, None)])  # type: ignore[list-item]


# What becomes of it.


def served(rig: ArchiveRig, *, may: bool = True) -> Adopted:
    adoption = Adoption("ct1", "learning:mr1", "", lambda _facts: may)
    rooms = (LearnedObjects(rig.engine), rig.store, rig.committer)
    return adopt(rig.permit(Verb.DELETE), adoption, rooms, LIMITS.header)


def test_it_is_served_once_its_sender_is_accepted_with_its_bytes_where_they_lie(running: ArchiveRig) -> None:
    learned(running, IMAGE, OTHER, LARGE)
    before = {
        held.stored.object_id: held.stored.location
        for held in running.index.inventory(running.permit(Verb.CHECK))
    }
    assert served(running) == Adopted(served=3)
    after = list(running.index.inventory(running.permit(Verb.CHECK)))
    assert {held.stored.object_id: held.stored.location for held in after} == before
    assert {(held.quarantined, held.received_from) for held in after} == {(None, "ct1")}
    counts = running.index.counts(running.permit(Verb.CHECK))
    assert (counts.studies, counts.instances, counts.quarantined) == (2, 3, 0)
    assert {line.event.outcome for line in running.audit("instance.adopted")} == {Outcome.DONE}
    assert served(running) == Adopted()


def test_it_is_served_under_its_patient(running: ArchiveRig) -> None:
    learned(running, IMAGE)
    served(running)
    found = running.index.locate(
        running.gate.permit(WS1, replace(running.permit(Verb.CHECK).action, verb=Verb.GET, target="archive")),
        RetrieveKeys(Level.PATIENT, PATIENTS[0].patient_id, (), (), ()),
    )
    assert [each.sop_instance for each in found] == [IMAGE.sop_instance]


def test_what_its_rule_does_not_let_it_store_stays(running: ArchiveRig) -> None:
    learned(running, IMAGE)
    assert served(running, may=False) == Adopted(refused=1)
    assert kept(running) == [Conflict.LEARNED]


def test_what_is_stored_already_goes_to_be_erased_and_a_contradiction_stays(running: ArchiveRig) -> None:
    learned(running, IMAGE, changed(OTHER))
    running.stored([IMAGE, OTHER])
    result = served(running)
    assert (result, result.stay) == (Adopted(repeated=1, conflicting=1), 1)
    assert sorted(map(str, kept(running))) == sorted(map(str, [None, None, Conflict.DIFFERENT_CONTENT]))
    outcomes = [line.event.outcome for line in running.audit("instance.adopted")]
    assert sorted(outcomes) == [Outcome.DONE, Outcome.FAILED]
    assert served(running) == Adopted()


def test_what_does_not_read_as_it_came_is_not_served(running: ArchiveRig) -> None:
    learned(running, IMAGE, OTHER)
    [segment] = (running.folder / "segments").iterdir()
    damaged = bytearray(segment.read_bytes())
    damaged[-20] ^= 1
    segment.write_bytes(damaged)
    assert served(running) == Adopted(served=1, damaged=1)


def test_what_is_let_go_is_named_to_be_erased(running: ArchiveRig) -> None:
    learned(running, IMAGE, OTHER)
    running.submit(IMAGE, peer=MR2).result()
    objects = LearnedObjects(running.engine)
    permit = running.permit(Verb.DELETE)
    assert objects.condemn(permit, "learning:mr1") == 2
    assert objects.content(permit, "learning:mr1") == []
    assert kept(running) == [Conflict.LEARNED]


def test_what_is_kept_opens_to_a_permit_to_delete_alone(running: ArchiveRig) -> None:
    objects, wrong = LearnedObjects(running.engine), running.permit(Verb.CHECK)
    for call in (
        lambda: objects.content(wrong, "learning:mr1"),
        lambda: objects.serve(wrong, "learning:mr1", Adopter("ct1", ""), {}),
        lambda: objects.condemn(wrong, "learning:mr1"),
    ):
        with pytest.raises(NotPermitted):
            call()
