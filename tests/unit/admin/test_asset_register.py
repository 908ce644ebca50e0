"""What lines of the trail add to the register of devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from leadglass.admin.asset_register import summed
from leadglass.audit.read import AuditLine
from leadglass.index.assets import KEPT_DAYS, KEPT_VALUES, Assets, Bookmark, Seen, Sums, Volume
from leadglass.index.engine import open_engine
from leadglass.index.migrate import migrate
from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted
from leadglass.model.event import AuditEvent, Outcome
from tests.support.admin_desk import permit_to

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
TODAY = NOON.date()
ADMITTED = AuditEvent(
    kind="association.admitted",
    outcome=Outcome.ALLOWED,
    who="ct1",
    address="10.20.1.5",
    calling_ae="CT1",
    implementation="1.2.3 SYNGO_1",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    certificate_until="2027-01-31",
)
STORED = AuditEvent(
    kind="instance.stored", outcome=Outcome.DONE, who="ct1", calling_ae="CT1", verb="store", size_bytes=500
)
SENT = replace(STORED, kind="retrieval.sent", verb="get", count=3)
GOT = replace(STORED, kind="operation.get", outcome=Outcome.ALLOWED, verb="get", size_bytes=0)


def lines(*events: AuditEvent) -> list[AuditLine]:
    return [AuditLine(10 + n, NOON + timedelta(hours=n), "NORTH", event) for n, event in enumerate(events)]


def test_association_tells_software_tls_certificate_address_and_title() -> None:
    sums = summed(lines(ADMITTED, replace(ADMITTED, implementation="1.2.3 SYNGO_2")), {"ct1"}, 9)
    assert sums.seq == 11
    assert {(fact, value) for _, fact, value in sums.facts} == {
        ("implementation", "1.2.3 SYNGO_1"),
        ("implementation", "1.2.3 SYNGO_2"),
        ("tls", "TLSv1.3 TLS_AES_256_GCM_SHA384"),
        ("certificate until", "2027-01-31"),
        ("address", "10.20.1.5"),
        ("ae", "CT1"),
    }
    assert sums.facts["ct1", "address", "10.20.1.5"] == Seen(NOON, NOON + timedelta(hours=1))


def test_volumes_count_operations_once_and_bytes_of_what_was_sent() -> None:
    sums = summed(lines(STORED, STORED, GOT, SENT), {"ct1"}, 9)
    assert sums.volumes == {("ct1", TODAY, "store"): Volume(2, 1000), ("ct1", TODAY, "get"): Volume(1, 500)}


@pytest.mark.parametrize(
    "event",
    [
        replace(ADMITTED, who="", kind="association.refused", outcome=Outcome.DENIED),
        replace(ADMITTED, who="stranger"),
        replace(ADMITTED, outcome=Outcome.DENIED),
        replace(GOT, outcome=Outcome.DENIED),
        replace(GOT, calling_ae=""),
        replace(STORED, kind="server.started", verb=""),
    ],
)
def test_stranger_refusal_or_person_leaves_nothing(event: AuditEvent) -> None:
    sums = summed(lines(event), {"ct1"}, 9)
    assert (sums.seq, sums.facts, sums.volumes) == (10, {}, {})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(str(tmp_path / "index.db"), bytes(32))
    migrate(engine)
    yield engine
    engine.dispose()


def test_sums_add_up_and_no_line_counts_twice(engine: Engine) -> None:
    register, permit = Assets(engine), permit_to(Verb.STATUS)
    first = summed(lines(ADMITTED, STORED), {"ct1"}, 0)
    assert register.add(permit, Bookmark(), first, NOON)
    assert not register.add(permit, Bookmark(), first, NOON)
    later = [AuditLine(20, NOON + timedelta(hours=8), "NORTH", event) for event in (ADMITTED, STORED)]
    assert register.add(permit, Bookmark(11), summed(later, {"ct1"}, 11), NOON)
    assert register.bookmark(permit) == Bookmark(20)
    assert register.facts(permit)["ct1"]["ae"] == {"CT1": Seen(NOON, NOON + timedelta(hours=8))}
    assert register.volumes(permit, TODAY) == {"ct1": {TODAY: {"store": Volume(2, 1000)}}}
    assert register.volumes(permit, TODAY + timedelta(days=1)) == {}


def test_history_of_a_fact_and_days_are_bounded(engine: Engine) -> None:
    register, permit = Assets(engine), permit_to(Verb.STATUS)
    moments = [NOON + timedelta(minutes=n) for n in range(KEPT_VALUES + 5)]
    facts = {("ct1", "implementation", f"v{n}"): Seen(at, at) for n, at in enumerate(moments)}
    old: date = TODAY - timedelta(days=KEPT_DAYS + 1)
    sums = Sums(1, facts, {("ct1", old, "store"): Volume(1, 1), ("ct1", TODAY, "store"): Volume(1, 1)})
    assert register.add(permit, Bookmark(), sums, NOON)
    kept = list(register.facts(permit)["ct1"]["implementation"])
    assert kept == [f"v{n}" for n in range(5, KEPT_VALUES + 5)]
    assert list(register.volumes(permit, old)["ct1"]) == [TODAY]


def test_register_is_for_who_may_see_the_state_of_the_site(engine: Engine) -> None:
    register = Assets(engine)
    with pytest.raises(NotPermitted):
        register.facts(permit_to(Verb.AUDIT))
    with pytest.raises(NotPermitted):
        register.add(permit_to(Verb.DELETE), Bookmark(), Sums(1), NOON)
