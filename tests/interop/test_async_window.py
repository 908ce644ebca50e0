"""The asynchronous operations window, which no other peer here speaks: our own encoders, on a bare socket."""

from __future__ import annotations

import pytest

from leadglass.dataset.synthetic import PATIENTS, Modality, SyntheticInstance, synthetic_study
from leadglass.model.names import Uid
from leadglass.protocol.commands import CEchoRq
from leadglass.protocol.pdu import AsyncWindow, UserInformation
from leadglass.protocol.services import VERIFICATION
from tests.support.clinic import Clinic
from tests.support.raw_peer import RawPeer, client_tls, contexts_for, message, store_message

SUCCESS = 0x0000
WINDOW = 16


def images(seed: int, count: int = WINDOW) -> list[SyntheticInstance]:
    return list(synthetic_study(seed, Modality.CT, PATIENTS[0], instances=count, rows=64, columns=64))


def asking_for(invoked: int) -> UserInformation:
    return UserInformation(
        implementation_class_uid=Uid("2.25.1"), async_window=AsyncWindow(invoked, performed=1)
    )


@pytest.fixture(params=["CT1", "US1"], ids=["mtls", "plaintext"])
def calling(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def connect(clinic: Clinic, calling: str) -> RawPeer:
    if calling == "CT1":
        return RawPeer(clinic.site.tls_port, tls=client_tls(clinic.ct1))
    return RawPeer(clinic.site.plain_port)


def test_sixteen_stores_go_out_before_the_first_answer_is_read(clinic: Clinic, calling: str) -> None:
    sent = images(seed=900 + (calling == "US1"))
    with connect(clinic, calling) as peer:
        accepted = peer.open(calling, contexts_for(sent[0].sop_class), user=asking_for(WINDOW))
        assert accepted.user.async_window == AsyncWindow(WINDOW, 1)
        peer.send(*(store_message(1, each, number) for number, each in enumerate(sent, start=1)))
        answers = [peer.response() for _ in sent]
        peer.release()
    assert {answer.responding_to for answer in answers} == set(range(1, WINDOW + 1))
    assert [answer.status for answer in answers] == [SUCCESS] * WINDOW


def test_more_than_was_asked_for_is_never_agreed_to(clinic: Clinic, calling: str) -> None:
    with connect(clinic, calling) as peer:
        accepted = peer.open(calling, contexts_for(VERIFICATION), user=asking_for(3))
        assert accepted.user.async_window == AsyncWindow(3, 1)
        peer.release()


def test_an_echo_overtakes_nothing_and_is_answered_among_stores(clinic: Clinic) -> None:
    sent = images(seed=910, count=4)
    with connect(clinic, "US1") as peer:
        peer.open("US1", contexts_for(sent[0].sop_class, VERIFICATION), user=asking_for(WINDOW))
        stores = [store_message(1, each, number) for number, each in enumerate(sent, start=1)]
        peer.send(*stores[:2], message(3, CEchoRq(9, VERIFICATION)), *stores[2:])
        answers = {answer.responding_to: answer.status for answer in (peer.response() for _ in range(5))}
        peer.release()
    assert answers == dict.fromkeys((1, 2, 3, 4, 9), SUCCESS)


def test_a_peer_without_a_window_that_sends_ahead_loses_nothing_silently(clinic: Clinic) -> None:
    """It breaks PS3.7 §D.3.3.3; each of its requests is answered all the same, one way or the other."""
    sent = images(seed=920, count=8)
    with connect(clinic, "US1") as peer:
        peer.open("US1", contexts_for(sent[0].sop_class))
        peer.send(*(store_message(1, each, number) for number, each in enumerate(sent, start=1)))
        answers = {answer.responding_to: answer.status for answer in (peer.response() for _ in sent)}
        assert set(answers) == set(range(1, 9))
        assert answers[1] == SUCCESS
        assert set(answers.values()) <= {SUCCESS, 0xA700}
        peer.release()
