"""What really happened, summed up from the trail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leadglass.audit import use
from leadglass.audit.use import Use, begun, uses_since
from leadglass.index.engine import reading
from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.errors import IntegrityBroken
from leadglass.model.event import AuditEvent, Outcome
from tests.support.audit_rig import Rig


def event(kind: str, who: str, outcome: Outcome = Outcome.ALLOWED, **more: object) -> AuditEvent:
    return AuditEvent(kind=kind, outcome=outcome, who=who, **more)  # type: ignore[arg-type]


def no_word(done: int, total: int) -> None:
    assert 0 < done <= total


def used(rig: Rig, days: int = 30) -> dict[tuple[str, Verb, str, str], Use]:
    with reading(rig.engine).connect() as connection:
        found = uses_since(connection, rig.clock.now() - timedelta(days=days), no_word)
    assert len(found) == len({(each.who, each.verb, each.target, each.rule) for each in found})
    return {(each.who, each.verb, each.target, each.rule): each for each in found}


def test_uses_are_counted_with_the_time_of_the_last(rig: Rig) -> None:
    rig.append(
        event("operation.find", "ws1", rule="flow read"),
        event("instance.stored", "ct1", Outcome.DONE, rule="flow acquire"),
    )
    rig.clock.pass_s(3600)
    rig.append(
        event("operation.find", "ws1", rule="flow read"), event("operation.find", "ws2", rule="flow read")
    )
    found = used(rig)
    assert found["ws1", Verb.FIND, ARCHIVE, "flow read"] == Use(
        "ws1", Verb.FIND, ARCHIVE, "flow read", 2, rig.clock.now()
    )
    assert found["ws2", Verb.FIND, ARCHIVE, "flow read"].count == 1
    stored = found["ct1", Verb.STORE, ARCHIVE, "flow acquire"]
    assert (stored.count, stored.last) == (1, rig.clock.now() - timedelta(hours=1))


def test_each_rule_of_a_search_that_several_permit_is_used(rig: Rig) -> None:
    rig.append(
        event("operation.find", "ws1", rule="flow day, flow night"),
        event("operation.find", "ws1", rule="flow day"),
    )
    counts = {rule: each.count for (*_, rule), each in used(rig).items()}
    assert counts == {"flow day": 2, "flow night": 1}


def test_a_store_is_a_use_whatever_became_of_the_object(rig: Rig) -> None:
    rig.append(
        event("instance.repeated", "ct1", Outcome.DONE, rule="flow acquire"),
        event("instance.quarantined", "ct1", Outcome.ALERT, rule="flow acquire"),
        event("instance.refused", "ct1", Outcome.FAILED, rule="flow acquire"),
    )
    assert [each.count for each in used(rig).values()] == [2]


def test_people_use_what_is_theirs(rig: Rig) -> None:
    rig.append(event("operation.list", "alice", rule="grant read"), event("operation.view", "alice"))
    assert {key[1] for key in used(rig)} == {Verb.LIST, Verb.VIEW}


def test_what_was_moved_counts_for_the_archive_and_its_destination(rig: Rig) -> None:
    moved = {"verb": Verb.MOVE, "target": "pacs", "count": 3, "rule": "flow read", "onward_rule": "flow send"}
    rig.append(
        event("retrieval.sent", "ws1", Outcome.DONE, **moved),
        event("retrieval.sent", "ws1", Outcome.DONE, **moved),
        event("retrieval.sent", "ws1", Outcome.FAILED, **moved),
        event("retrieval.sent", "ws1", Outcome.DONE, verb=Verb.GET, target="ws1", count=9),
    )
    counts = {key: each.count for key, each in used(rig).items()}
    assert counts == {(ARCHIVE, Verb.STORE, "pacs", "flow send"): 6}


def test_a_long_trail_is_summed_up_part_by_part(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "LINES_AT_ONCE", 3)
    rig.append(*[event("operation.find", "ws1", rule="flow read") for _ in range(7)])
    words: list[tuple[int, int]] = []
    with reading(rig.engine).connect() as connection:
        found = uses_since(connection, rig.clock.now() - timedelta(days=1), lambda *word: words.append(word))
    assert [each.count for each in found] == [7]
    assert words == [(3, 7), (6, 7), (7, 7)]


def test_refusals_and_older_lines_are_no_use(rig: Rig) -> None:
    rig.append(event("operation.find", "ws1", rule="flow read"))
    rig.clock.pass_s(timedelta(days=31).total_seconds())
    rig.append(event("operation.get", "us1", Outcome.DENIED), event("association.admitted", "us1"))
    assert used(rig) == {}
    assert used(rig, days=32).keys() == {("ws1", Verb.FIND, ARCHIVE, "flow read")}


def test_a_line_that_is_no_json_is_said(rig: Rig) -> None:
    rig.append(event("operation.find", "ws1"))
    rig.tamper("UPDATE audit_event SET body = x'7bff'")
    with pytest.raises(IntegrityBroken, match="malformed JSON"):
        used(rig)


def test_a_line_of_other_types_spoils_no_other(rig: Rig) -> None:
    rig.append(event("operation.find", "ws1"), event("operation.get", "ws1", rule="flow read"))
    rig.tamper(
        "UPDATE audit_event SET body = CAST(json_object('rule', 7, 'count', 'many', 'target', 1) AS BLOB)"
        " WHERE kind = 'operation.find'"
    )
    assert used(rig)["ws1", Verb.GET, ARCHIVE, "flow read"].count == 1


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
            uses_since(connection, rig.clock.now(), no_word)
