from __future__ import annotations

import json
from datetime import timedelta

import pytest

from leadglass.audit.read import NO_FILTERS, AuditLine, Filters, after, ndjson, tail
from leadglass.index.engine import reading
from leadglass.model.errors import IntegrityBroken
from leadglass.model.event import AuditEvent, Outcome
from tests.support.audit_rig import Rig, event


@pytest.fixture
def story(rig: Rig) -> Rig:
    rig.append(event("server.started", who="NORTH"), AuditEvent("operation.find", Outcome.DENIED, "us1"))
    rig.clock.pass_s(60)
    rig.append(event("instance.stored", who="ct1"), event("instance.repeated", who="ct1"))
    return rig


def seqs(rig: Rig, count: int = 10, filters: Filters = NO_FILTERS) -> list[int]:
    with reading(rig.engine).connect() as connection:
        return [line.seq for line in tail(connection, count, filters)]


def lines(rig: Rig, seq: int = 0) -> list[AuditLine]:
    with reading(rig.engine).connect() as connection:
        return list(after(connection, seq))


def test_the_tail_is_the_last_lines_oldest_first(story: Rig) -> None:
    assert seqs(story) == [1, 2, 3, 4]
    assert seqs(story, 2) == [3, 4]


def test_filters_narrow(story: Rig) -> None:
    assert seqs(story, filters=Filters(kind="instance")) == [3, 4]
    assert seqs(story, filters=Filters(kind="instance.stored")) == [3]
    assert seqs(story, filters=Filters(kind="inst")) == []
    assert seqs(story, filters=Filters(kind="%")) == []
    assert seqs(story, filters=Filters(outcome=Outcome.DENIED)) == [2]
    assert seqs(story, filters=Filters(who="ct1")) == [3, 4]
    assert seqs(story, filters=Filters(since=story.clock.now() - timedelta(seconds=1))) == [3, 4]
    assert seqs(story, filters=Filters(who="ct1", kind="server")) == []


def test_lines_come_back_as_written(story: Rig) -> None:
    line = lines(story, 3)[0]
    assert (line.seq, line.time, line.node) == (4, story.clock.now(), "NORTH")
    assert line.event == event("instance.repeated", who="ct1")


def test_export_is_one_json_object_a_line(story: Rig) -> None:
    exported = [json.loads(each) for each in ndjson(lines(story))]
    assert [each["seq"] for each in exported] == [1, 2, 3, 4]
    assert exported[1]["event"]["outcome"] == "denied"


def test_a_line_of_another_make_is_broken(story: Rig) -> None:
    story.tamper("UPDATE audit_event SET body = CAST('{}' AS BLOB) WHERE seq = 4")
    with pytest.raises(IntegrityBroken):
        seqs(story)


def test_a_trail_without_its_table_is_broken(story: Rig) -> None:
    story.tamper("DROP TABLE audit_event")
    with pytest.raises(IntegrityBroken):
        seqs(story)
