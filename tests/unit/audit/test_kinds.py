from __future__ import annotations

import re

from leadglass.audit.kinds import KINDS, PATIENT_FIELDS, EventId, EventType, codes
from leadglass.model.action import Verb
from leadglass.model.event import Outcome

WITH_PATIENT = {
    EventId.BEGIN_TRANSFERRING,
    EventId.INSTANCES_ACCESSED,
    EventId.INSTANCES_TRANSFERRED,
    EventId.STUDY_DELETED,
}


def test_only_kinds_whose_message_has_a_patient_may_name_one() -> None:
    for kind in KINDS.values():
        assert kind.may_name <= PATIENT_FIELDS
        assert not kind.may_name or kind.event in WITH_PATIENT


def test_the_gate_has_a_kind_for_every_verb() -> None:
    for verb in Verb:
        assert (f"operation.{verb}" in KINDS) != (f"site.{verb}" in KINDS)


def test_kinds_are_dotted_words_and_explained() -> None:
    for name, kind in KINDS.items():
        assert name == kind.kind
        assert re.fullmatch(r"[a-z]+\.[a-z]+", name)
        assert kind.meaning


def test_codes_are_distinct_and_of_their_context_groups() -> None:
    assert {int(each.value.value) for each in EventId} <= set(range(110100, 110115))
    assert {int(each.value.value) for each in EventType} <= set(range(110120, 110148))


def test_a_refusal_is_a_security_alert_whatever_was_asked() -> None:
    alert = (EventId.SECURITY_ALERT, EventType.RESTRICTED_FUNCTION)
    assert codes(KINDS["operation.find"], Outcome.DENIED) == alert
    assert codes(KINDS["operation.find"], Outcome.ALLOWED) == (EventId.QUERY, None)
    refused = (EventId.SECURITY_ALERT, EventType.NODE_AUTHENTICATION)
    assert codes(KINDS["association.refused"], Outcome.DENIED) == refused
