from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.names import Uid
from leadglass.model.usage import Usage
from leadglass.policy import Question, QuestionInvalid, parse_question
from tests.support.said import assert_said


def test_every_word_of_a_question_is_read() -> None:
    text = (
        "us1 store archive modality=US transport=plain ip=10.20.9.5 at=2026-12-24T23:00 "
        "label=night label=teaching from=remote ae=LOGIQ stores=5 mfa reason approved "
        "age=90d sender=ct1 show=StudyDate sop_class=CTImageStorage study=1.2.3"
    )
    assert parse_question(text) == Question(
        subject="us1",
        verb=Verb.STORE,
        target="archive",
        ae="LOGIQ",
        age_days=90,
        at=datetime(2026, 12, 24, 23),  # noqa: DTZ001  in whatever zone the policy says
        from_zone="remote",
        ip="10.20.9.5",
        labels=frozenset({"night", "teaching"}),
        modality="US",
        sender="ct1",
        show="StudyDate",
        sop_class=Uid("1.2.840.10008.5.1.4.1.1.2"),
        used=Usage(objects=5),
        study=Uid("1.2.3"),
        transport=Transport.PLAIN,
        mfa=True,
        reason=True,
        approved=True,
    )


def test_title_with_an_equals_sign_is_kept_whole() -> None:
    assert parse_question("us1 echo archive ae=A=B").ae == "A=B"


def test_target_left_out_is_the_archive() -> None:
    assert parse_question("us1 echo") == Question("us1", Verb.ECHO, "archive")
    assert parse_question("rads view mfa") == Question("rads", Verb.VIEW, "archive", mfa=True)


def test_time_with_a_zone_keeps_it() -> None:
    asked = parse_question("us1 echo at=2026-12-24T23:00+01:00")
    assert asked.at == datetime(2026, 12, 24, 23, tzinfo=timezone(timedelta(hours=1)))


UNCLEAR = [
    ("us1", '"us1" is no question; ask like: us1 store archive modality=US'),
    ("us1 fnd archive", 'unknown verb "fnd"; did you mean "find"?'),
    ("us1 find archive modalty=US", 'unknown key "modalty"; did you mean "modality"?'),
    ("us1 find archive please", '"please" is not understood'),
    ("us1 find archive ip=", '"ip=" is not understood'),
    ("us1 find archive ip=1 ip=2", '"ip" stands twice'),
    ("us1 find archive ip=1", 'ip="1" is no IP address'),
    ("us1 find archive at=tomorrow", 'at="tomorrow" is no time'),
    ("us1 find archive at=9999-12-31T23:59Z", 'at="9999-12-31T23:59Z" is in no year from 1970 to 9000'),
    ("us1 find archive at=0001-01-01", 'at="0001-01-01" is in no year from 1970 to 9000'),
    ("us1 find archive modality=us", 'modality="us" is no modality'),
    ("us1 find archive age=old", 'age="old" is no age; write age=90d'),
    ("us1 find archive show=PatientNam", 'unknown attribute "PatientNam"; did you mean "PatientName"?'),
    ("us1 get archive sop_class=CTImage", 'unknown SOP class "CTImage"; did you mean "CTImageStorage"?'),
    ("us1 get archive study=one", 'study="one" is no UID'),
    ("us1 find archive stores=-1", 'stores="-1" is no number'),
    ("us1 find archive transport=tls", 'unknown transport "tls"; did you mean "mtls"?'),
    ("x" * 1025, "a question has at most 1024 characters"),
]


@pytest.mark.parametrize(("text", "message"), UNCLEAR)
def test_what_is_not_understood_is_named(text: str, message: str) -> None:
    with pytest.raises(QuestionInvalid) as caught:
        parse_question(text)
    assert str(caught.value).startswith(message)


def told(text: str) -> str:
    with pytest.raises(QuestionInvalid) as caught:
        parse_question(text)
    return str(caught.value)


def test_what_is_not_understood_is_told_in_these_words() -> None:
    assert_said([told(text) for text, _ in UNCLEAR], Path(__file__).with_name("said_of_questions.txt"))
