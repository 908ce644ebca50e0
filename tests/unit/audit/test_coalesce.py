from __future__ import annotations

import math
from dataclasses import replace

from leadglass.audit.coalesce import MAX_KEYS, MAX_REASONS, OTHER_ADDRESSES, WINDOW_S, DenialCoalescer
from leadglass.model.decision import Rung, RungState, Step
from leadglass.model.event import AuditEvent, Outcome


def refusal(
    address: str = "10.0.0.9",
    step: Step = Step.DEVICE,
    calling_ae: str = "X",
    detail: str = "unknown",
    reason: str = "device",
) -> AuditEvent:
    ladder = (Rung(Step.ZONE, RungState.PASSED, "zone"), Rung(step, RungState.FAILED, detail))
    return AuditEvent(
        "association.refused",
        Outcome.DENIED,
        "",
        address=address,
        calling_ae=calling_ae,
        reason=reason,
        ladder=ladder,
    )


def test_the_first_is_recorded_at_once_and_the_rest_of_the_minute_as_one() -> None:
    coalescer = DenialCoalescer()
    assert coalescer.admit(refusal(), 0.0) == [refusal()]
    for second in range(1, 51):
        assert coalescer.admit(refusal(), float(second)) == []
    assert coalescer.flush(WINDOW_S - 0.1) == []
    assert coalescer.flush(WINDOW_S) == [replace(refusal(), count=50)]
    assert coalescer.flush(math.inf) == []


def test_one_refusal_alone_is_one_line() -> None:
    coalescer = DenialCoalescer()
    coalescer.admit(refusal(), 0.0)
    assert coalescer.flush(math.inf) == []


def test_a_refusal_after_the_window_is_recorded_at_once_after_the_sum() -> None:
    coalescer = DenialCoalescer()
    coalescer.admit(refusal(), 0.0)
    coalescer.admit(refusal(), 1.0)
    assert coalescer.admit(refusal(), 60.0) == [replace(refusal(), count=1), refusal()]


def test_another_address_step_or_kind_is_another_refusal() -> None:
    coalescer = DenialCoalescer()
    for event in (
        refusal(),
        refusal(address="10.0.0.8"),
        refusal(step=Step.VERB),
        replace(refusal(), kind="connection.refused"),
        replace(refusal(), ladder=()),
    ):
        assert coalescer.admit(event, 0.0) == [event]


def test_another_reason_or_calling_title_of_one_address_is_not_hidden() -> None:
    coalescer = DenialCoalescer()
    events = (refusal(), refusal(reason="the certificate was revoked"), refusal(calling_ae="Y"))
    for event in events:
        assert coalescer.admit(event, 0.0) == [event]
    for event in events:
        assert coalescer.admit(event, 1.0) == []
    assert coalescer.flush(math.inf) == list(events)


def test_an_address_that_varies_its_reasons_gets_few_lines_of_its_own() -> None:
    coalescer = DenialCoalescer()
    flood = 200
    refusals = [refusal(calling_ae=str(n), reason=f"no device is {n}") for n in range(flood)]
    recorded = [line for event in refusals for line in coalescer.admit(event, 0.0)]
    assert len(recorded) == MAX_REASONS + 1
    assert coalescer.admit(refusals[0], 1.0) == []  # one it has a line for still counts there
    again, rest = coalescer.flush(math.inf)
    assert (again.calling_ae, again.count) == ("0", 1)
    assert (rest.address, rest.calling_ae, rest.reason) == ("10.0.0.9", "", "")
    assert len(recorded) + rest.count == flood


def test_reasons_count_again_in_the_next_minute() -> None:
    coalescer = DenialCoalescer()
    for minute in range(3):
        for number in range(MAX_REASONS):
            event = refusal(calling_ae=f"{minute}-{number}")
            assert coalescer.admit(event, minute * WINDOW_S) == [event]
    assert coalescer.flush(math.inf) == []
    assert not coalescer._reasons


def test_many_reasons_of_one_address_hide_no_other_address() -> None:
    coalescer = DenialCoalescer()
    for number in range(2 * MAX_KEYS):
        coalescer.admit(refusal(calling_ae=str(number)), 0.0)
    other = refusal("10.0.0.8")
    assert coalescer.admit(other, 1.0) == [other]


def test_what_is_no_refusal_is_never_folded() -> None:
    coalescer = DenialCoalescer()
    allowed = replace(refusal(), outcome=Outcome.ALLOWED)
    assert [coalescer.admit(allowed, 0.0) for _ in range(2)] == [[allowed], [allowed]]


def test_a_folded_line_says_only_what_all_repeats_share() -> None:
    coalescer = DenialCoalescer()
    coalescer.admit(refusal(), 0.0)
    coalescer.admit(replace(refusal(detail="one"), called_ae="A"), 1.0)
    coalescer.admit(replace(refusal(detail="two"), called_ae="B"), 2.0)
    [folded] = coalescer.flush(math.inf)
    assert (folded.count, folded.address, folded.calling_ae) == (2, "10.0.0.9", "X")
    assert (folded.called_ae, folded.reason) == ("", "device")
    assert [(rung.step, rung.detail) for rung in folded.ladder] == [(Step.ZONE, "zone"), (Step.DEVICE, "")]


def test_a_flood_from_many_addresses_is_bounded_and_summed() -> None:
    coalescer = DenialCoalescer()
    flood = 5_000
    refusals = [refusal(f"10.1.{n // 256}.{n % 256}", calling_ae=str(n)) for n in range(flood)]
    recorded = [line for event in refusals for line in coalescer.admit(event, 0.0)]
    assert len(recorded) == MAX_KEYS + 1
    assert (recorded[-1].address, recorded[-1].calling_ae) == (OTHER_ADDRESSES, "")
    [rest] = coalescer.flush(math.inf)
    assert rest.address == OTHER_ADDRESSES
    assert len(recorded) + rest.count == flood


def test_a_known_address_keeps_its_own_line_during_a_flood() -> None:
    coalescer = DenialCoalescer()
    for number in range(MAX_KEYS):
        coalescer.admit(refusal(f"10.1.{number // 256}.{number % 256}"), 0.0)
    assert coalescer.admit(refusal("10.1.0.0"), 1.0) == []
    assert coalescer.flush(math.inf)[0].address == "10.1.0.0"


def test_repeats_are_all_counted_whether_the_same_came_again_or_one_like_it() -> None:
    coalescer = DenialCoalescer()
    same, like = replace(refusal(), association="a1"), replace(refusal(), association="a2")
    for event in (same, same, same, like, like, same):
        coalescer.admit(event, 0.0)
    assert coalescer.flush(math.inf) == [replace(refusal(), association="", count=5)]
