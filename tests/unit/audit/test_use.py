"""What really happened, summed up from the trail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leadglass.audit.use import Use, begun, uses_since
from leadglass.index.engine import reading
from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.errors import IntegrityBroken
from leadglass.model.event import AuditEvent, Outcome
from tests.support.audit_rig import Rig


def event(kind: str, who: str, outcome: Outcome = Outcome.ALLOWED, **more: object) -> AuditEvent:
    return AuditEvent(kind=kind, outcome=outcome, who=who, **more)  # type: ignore[arg-type]


def used(rig: Rig, days: int = 30) -> dict[tuple[str, Verb, str], Use]:
    with reading(rig.engine).connect() as connection:
        found = list(uses_since(connection, rig.clock.now() - timedelta(days=days)))
    assert len(found) == len({(each.who, each.verb, each.target) for each in found})
    return {(each.who, each.verb, each.target): each for each in found}


def test_uses_are_counted_with_the_time_of_the_last(rig: Rig) -> None:
    rig.append(event("operation.find", "ws1"), event("instance.stored", "ct1", Outcome.DONE))
    rig.clock.pass_s(3600)
    rig.append(event("operation.find", "ws1"), event("operation.find", "ws2"))
    found = used(rig)
    assert found["ws1", Verb.FIND, ARCHIVE] == Use("ws1", Verb.FIND, ARCHIVE, 2, rig.clock.now())
    assert found["ws2", Verb.FIND, ARCHIVE].count == 1
    stored = found["ct1", Verb.STORE, ARCHIVE]
    assert (stored.count, stored.last) == (1, rig.clock.now() - timedelta(hours=1))


def test_what_was_moved_counts_for_the_archive_and_its_destination(rig: Rig) -> None:
    moved = {"verb": Verb.MOVE, "target": "pacs", "count": 3}
    rig.append(
        event("retrieval.sent", "ws1", Outcome.DONE, **moved),
        event("retrieval.sent", "ws1", Outcome.DONE, **moved),
        event("retrieval.sent", "ws1", Outcome.FAILED, **moved),
        event("retrieval.sent", "ws1", Outcome.DONE, verb=Verb.GET, target="ws1", count=9),
    )
    assert {key: each.count for key, each in used(rig).items()} == {(ARCHIVE, Verb.STORE, "pacs"): 6}


def test_refusals_and_older_lines_are_no_use(rig: Rig) -> None:
    rig.append(event("operation.find", "ws1"))
    rig.clock.pass_s(timedelta(days=31).total_seconds())
    rig.append(event("operation.get", "us1", Outcome.DENIED), event("association.admitted", "us1"))
    assert used(rig) == {}
    assert used(rig, days=32).keys() == {("ws1", Verb.FIND, ARCHIVE)}


def test_trail_says_when_it_begins(rig: Rig) -> None:
    with reading(rig.engine).connect() as connection:
        assert begun(connection) is None
    rig.append(event("operation.find", "ws1"))
    first = rig.clock.now()
    rig.clock.pass_s(10)
    rig.append(event("operation.find", "ws1"))
    with reading(rig.engine).connect() as connection:
        assert begun(connection) == first


def test_trail_that_cannot_be_read_is_said(rig: Rig) -> None:
    rig.tamper("DROP TABLE audit_event")
    with reading(rig.engine).connect() as connection:
        with pytest.raises(IntegrityBroken):
            begun(connection)
        with pytest.raises(IntegrityBroken):
            list(uses_since(connection, rig.clock.now()))
