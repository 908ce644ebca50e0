from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.audit.chain import GENESIS, canonical, chain_hash, read_canonical
from leadglass.audit.kinds import KINDS
from leadglass.model.decision import Rung, RungState, Step
from leadglass.model.errors import IntegrityBroken, LocalError
from leadglass.model.event import AuditEvent, Outcome

LADDER = (Rung(Step.ZONE, RungState.PASSED, "modalities"), Rung(Step.VERB, RungState.FAILED, "no flow"))
FULL = AuditEvent(
    "instance.stored",
    Outcome.DONE,
    "ct1",
    zone="modalities",
    ladder=LADDER,
    study="1.2.3",
    instance="1.2.3.4",
    patient_id="P1",
    count=3,
)

storable_text = st.text(st.characters(exclude_categories=["Cs"]))


def test_bytes_are_versioned_sorted_and_without_defaults() -> None:
    body = canonical(AuditEvent("server.started", Outcome.DONE, "NORTH"))
    assert body == b'{"kind":"server.started","outcome":"done","v":1,"who":"NORTH"}'


def test_an_event_comes_back_whole() -> None:
    assert read_canonical(canonical(FULL)) == FULL


@given(
    who=storable_text,
    reason=storable_text,
    count=st.integers(0, 2**53),
    kind=st.sampled_from(sorted(KINDS)),
    outcome=st.sampled_from(Outcome),
)
def test_any_event_comes_back_whole(who: str, reason: str, count: int, kind: str, outcome: Outcome) -> None:
    event = AuditEvent(kind, outcome, who, reason=reason, count=count)
    assert read_canonical(canonical(event)) == event


def test_a_kind_nobody_declared_is_refused() -> None:
    with pytest.raises(LocalError, match="no such audit kind"):
        canonical(replace(FULL, kind="instance.shredded"))


@pytest.mark.parametrize("field", ["study", "instance", "patient_id"])
def test_a_patient_s_field_is_refused_where_the_kind_may_not_have_it(field: str) -> None:
    for kind in KINDS.values():
        event = AuditEvent(kind.kind, Outcome.DONE, "ct1", **{field: "1.2.3"})  # type: ignore[arg-type]  # texts
        if field in kind.may_name:
            assert b"1.2.3" in canonical(event)
        else:
            with pytest.raises(LocalError, match=field) as refused:
                canonical(event)
            assert "1.2.3" not in str(refused.value)


def test_text_that_is_no_unicode_cannot_silence_the_trail() -> None:
    rung = Rung(Step.DEVICE, RungState.FAILED, "AE \udcff")
    event = AuditEvent("association.refused", Outcome.DENIED, "\ud800", reason="\udc00x", ladder=(rung,))
    kept = read_canonical(canonical(event))
    assert (kept.who, kept.reason, kept.ladder[0].detail) == ("?", "?x", "AE ?")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"v":2,"kind":"a"}',
        b'{"v":1}',
        b'{"v":1,"kind":1,"outcome":"done","who":""}',
        b"\xff",
    ],
)
def test_bytes_of_another_make_are_named(body: bytes) -> None:
    with pytest.raises(IntegrityBroken):
        read_canonical(body)


def test_the_hash_is_what_the_documentation_says() -> None:
    """An auditor with the module's docstring and a shell must reach the same number."""
    parts = (
        b"leadglass-audit-1\0",
        bytes(32),
        (7).to_bytes(8, "big"),
        (1_700_000_000_000_000).to_bytes(8, "big"),
        (5).to_bytes(2, "big"),
        b"NORTH",
        b'{"v":1}',
    )
    expected = hashlib.sha256(b"".join(parts)).digest()
    assert chain_hash(GENESIS, 7, 1_700_000_000_000_000, "NORTH", b'{"v":1}') == expected


def test_every_part_of_a_line_changes_its_hash() -> None:
    variants = [
        (GENESIS, 1, 1, "n", b"b"),
        (bytes([1]) * 32, 1, 1, "n", b"b"),
        (GENESIS, 2, 1, "n", b"b"),
        (GENESIS, 1, 2, "n", b"b"),
        (GENESIS, 1, 1, "m", b"b"),
        (GENESIS, 1, 1, "n", b"c"),
        (GENESIS, 1, 1, "", b"nb"),
        (GENESIS, 1, 1, "nb", b""),
    ]
    assert len({chain_hash(*variant) for variant in variants}) == len(variants)
