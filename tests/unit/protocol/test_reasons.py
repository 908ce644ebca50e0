from __future__ import annotations

from leadglass.protocol import reasons
from leadglass.protocol.pdu import AssociateReject


def test_rejections_are_said_in_words() -> None:
    assert reasons.reject_text(reasons.CALLED_AE_NOT_RECOGNIZED) == (
        "rejected permanently: called AE title not recognized"
    )
    assert reasons.reject_text(reasons.LOCAL_LIMIT_EXCEEDED) == "rejected for now: local limit exceeded"


def test_unknown_codes_are_given_as_numbers() -> None:
    assert reasons.reject_text(AssociateReject(1, 9, 8)) == "rejected permanently: reason 8 of source 9"
    assert reasons.abort_text(2, 77) == "aborted by the provider: reason 77"


def test_aborts_are_said_in_words() -> None:
    assert reasons.abort_text(0, 6) == "aborted by the application"
    assert reasons.abort_text(2, 2) == "aborted by the provider: unexpected PDU"
