from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.model.errors import LocalProtocolError
from leadglass.model.names import Uid
from leadglass.protocol import commands as c
from leadglass.protocol import pdu as p
from leadglass.protocol.association import Association, Role
from leadglass.protocol.codec import encode, p_data_headers
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    Closed,
    CommandReceived,
    DatasetFragment,
    Event,
    ReleaseConfirmed,
    ReleaseRequested,
    RequestRefused,
)
from leadglass.protocol.limits import Limits
from leadglass.protocol.negotiation import negotiate
from leadglass.protocol.reasons import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_NOT_RECOGNIZED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    AbortReason,
    AbortSource,
)
from leadglass.protocol.table import State
from tests.unit.protocol.strategies import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    EVERYTHING,
    acceptor_in_sta2,
    connected_pair,
    request_of,
    sent,
)

ECHO = c.CEchoRq(1, Uid("1.2.840.10008.1.1"))
STORE = c.CStoreRq(2, CT, Uid("1.2.3.4"))
EVENT_TYPES = get_args(Event)


def store_stream(dataset: bytes, fragment_bytes: int) -> bytes:
    requestor, _ = connected_pair()
    pieces = [dataset[at : at + fragment_bytes] for at in range(0, len(dataset), fragment_bytes)]
    requestor.send_message(3, encode_command(STORE), pieces)
    return sent(requestor)


def pdv_pdu(context_id: int, fragment: bytes, *, command: bool, last: bool) -> bytes:
    return p_data_headers(context_id, len(fragment), is_command=command, is_last=last) + fragment


def pdu_lengths(stream: bytes) -> list[int]:
    lengths = []
    while stream:
        lengths.append(int.from_bytes(stream[2:6], "big"))
        stream = stream[6 + lengths[-1] :]
    return lengths


def last_abort(events: list[Event]) -> Aborted:
    aborted = events[-1]
    assert isinstance(aborted, Aborted)
    return aborted


# Life of an association.


def test_an_echo_and_a_release_end_in_good_order() -> None:
    requestor, acceptor = connected_pair()
    requestor.send_message(1, encode_command(ECHO))
    assert acceptor.receive_data(sent(requestor)) == [CommandReceived(1, ECHO)]
    reply = c.CEchoRsp(1, 0, ECHO.sop_class)
    acceptor.send_message(1, encode_command(reply))
    assert requestor.receive_data(sent(acceptor)) == [CommandReceived(1, reply)]
    requestor.release()
    assert acceptor.receive_data(sent(requestor)) == [ReleaseRequested()]
    acceptor.reply_release()
    waiting = acceptor.artim_running
    assert requestor.receive_data(sent(acceptor)) == [ReleaseConfirmed()]
    assert requestor.wants_close
    assert requestor.transport_closed() == [Closed(orderly=True)]
    assert acceptor.transport_closed() == [Closed(orderly=True)]
    assert (waiting, acceptor.artim_running) == (True, False)


def test_a_rejection_reaches_the_requestor() -> None:
    requestor = Association(Role.REQUESTOR, Limits())
    requestor.request(request_of(ECHO_CONTEXT))
    requestor.transport_connected()
    acceptor = acceptor_in_sta2()
    (asked,) = acceptor.receive_data(sent(requestor))
    assert asked == AssociationRequested(request_of(ECHO_CONTEXT))
    acceptor.reject(CALLED_AE_NOT_RECOGNIZED)
    assert requestor.receive_data(sent(acceptor)) == [AssociationRejected(CALLED_AE_NOT_RECOGNIZED)]
    assert requestor.wants_close
    assert acceptor.transport_closed() == [Closed(orderly=True)]
    assert requestor.transport_closed() == [Closed(orderly=True)]


def test_a_release_collision_ends_in_good_order_on_both_sides() -> None:
    requestor, acceptor = connected_pair()
    requestor.release()
    acceptor.release()
    from_requestor, from_acceptor = sent(requestor), sent(acceptor)
    assert requestor.receive_data(from_acceptor) == [ReleaseRequested()]
    assert acceptor.receive_data(from_requestor) == [ReleaseRequested()]
    acceptor.reply_release()  # too early, so held back
    assert not sent(acceptor)
    requestor.reply_release()
    assert acceptor.receive_data(sent(requestor)) == [ReleaseConfirmed()]
    assert acceptor.state is State.STA13
    assert requestor.receive_data(sent(acceptor)) == [ReleaseConfirmed()]
    assert requestor.transport_closed() == [Closed(orderly=True)]
    assert acceptor.transport_closed() == [Closed(orderly=True)]


def test_messages_still_cross_while_a_release_is_under_way() -> None:
    requestor, acceptor = connected_pair()
    requestor.release()
    acceptor.receive_data(sent(requestor))
    acceptor.send_message(1, encode_command(ECHO))
    assert requestor.receive_data(sent(acceptor)) == [CommandReceived(1, ECHO)]


def test_an_abort_reaches_the_other_side() -> None:
    requestor, acceptor = connected_pair()
    requestor.abort()
    requestor.abort()
    assert acceptor.receive_data(sent(requestor)) == [Aborted(0, 0, True, "aborted by the application")]
    assert acceptor.wants_close
    assert acceptor.transport_closed() == [Closed(orderly=False)]
    assert requestor.transport_closed() == [Closed(orderly=False)]


def test_an_abort_before_any_association_only_closes() -> None:
    acceptor = acceptor_in_sta2()
    assert acceptor.receive_data(encode(p.Abort(0, 0))) == []
    assert acceptor.wants_close


def test_a_lost_connection_is_told_once() -> None:
    requestor, _ = connected_pair()
    lost, closed = requestor.transport_closed()
    assert lost == Aborted(AbortSource.PROVIDER, 0, True, "the connection was lost")
    assert closed == Closed(orderly=False)
    assert requestor.transport_closed() == []
    assert requestor.receive_data(b"late") == []
    requestor.abort()


def test_a_silent_connection_is_closed_when_artim_expires() -> None:
    acceptor = acceptor_in_sta2()
    running_before = acceptor.artim_running
    assert acceptor.artim_expired() == []
    assert acceptor.wants_close
    assert (running_before, acceptor.artim_running) == (True, False)
    assert acceptor.transport_closed() == [Closed(orderly=False)]


def test_an_unconnected_association_takes_no_bytes() -> None:
    with pytest.raises(LocalProtocolError):
        Association(Role.ACCEPTOR, Limits()).receive_data(b"x")


@pytest.mark.parametrize(
    ("request_", "reject"),
    [
        (replace(request_of(ECHO_CONTEXT), protocol_version=2), PROTOCOL_VERSION_NOT_SUPPORTED),
        (
            replace(request_of(ECHO_CONTEXT), application_context=Uid("1.2.3")),
            APPLICATION_CONTEXT_NOT_SUPPORTED,
        ),
    ],
)
def test_what_we_do_not_speak_is_rejected_unasked(
    request_: p.AssociateRequest, reject: p.AssociateReject
) -> None:
    acceptor = acceptor_in_sta2()
    assert acceptor.receive_data(encode(request_)) == [RequestRefused(request_, reject)]
    assert sent(acceptor) == encode(reject)
    assert acceptor.state is State.STA13
    assert acceptor.artim_running
    assert acceptor.transport_closed() == [Closed(orderly=True)]


def test_an_acceptance_must_fit_the_request() -> None:
    acceptor = acceptor_in_sta2()
    acceptor.receive_data(encode(request_of(ECHO_CONTEXT)))
    accept, _ = negotiate(request_of(CT_CONTEXT), permitted=EVERYTHING, limits=Limits())
    with pytest.raises(LocalProtocolError):
        acceptor.accept(accept)
    assert acceptor.state is State.STA3


def test_the_outcome_comes_with_the_acceptance() -> None:
    requestor = Association(Role.REQUESTOR, Limits())
    request = request_of(ECHO_CONTEXT, CT_CONTEXT)
    requestor.request(request)
    requestor.transport_connected()
    accept, outcome = negotiate(request, permitted=EVERYTHING, limits=Limits())
    assert requestor.receive_data(encode(accept)) == [AssociationAccepted(accept, outcome)]


def test_an_unlawful_acceptance_is_aborted() -> None:
    requestor = Association(Role.REQUESTOR, Limits())
    requestor.request(request_of(ECHO_CONTEXT))
    requestor.transport_connected()
    requestor.data_to_send()
    accept, _ = negotiate(request_of(CT_CONTEXT), permitted=EVERYTHING, limits=Limits())
    aborted = last_abort(requestor.receive_data(encode(accept)))
    assert "never proposed" in aborted.text
    assert sent(requestor) == encode(p.Abort(2, AbortReason.INVALID_PARAMETER_VALUE))


@pytest.mark.parametrize("announced", [1, 127])
def test_a_peer_that_takes_crumbs_only_is_aborted(announced: int) -> None:
    acceptor = acceptor_in_sta2()
    request = request_of(ECHO_CONTEXT, user=p.UserInformation(announced))
    assert "too small" in last_abort(acceptor.receive_data(encode(request))).text


# Messages.


@pytest.mark.parametrize(("announced", "expected"), [(0, 4096), (1 << 31, 4096), (1000, 1000)])
def test_what_we_send_fits_the_peers_pdu_and_our_own_bound(announced: int, expected: int) -> None:
    limits = Limits(max_send_pdu_bytes=4096)
    request = request_of(CT_CONTEXT, user=p.UserInformation(announced))
    _, acceptor = connected_pair(limits, request)
    assert acceptor.peer_max_pdu_bytes == expected
    acceptor.send_command(3, encode_command(STORE), has_dataset=True)
    acceptor.send_dataset_fragment(3, bytes(10_000), is_last=True)
    lengths = pdu_lengths(sent(acceptor))
    assert max(lengths) == expected
    assert sum(lengths) > 10_000


def test_an_odd_pdu_size_still_gives_even_fragments() -> None:
    _, acceptor = connected_pair(request=request_of(CT_CONTEXT, user=p.UserInformation(1001)))
    acceptor.send_message(3, encode_command(STORE), [bytes(3000)])
    lengths = pdu_lengths(sent(acceptor))
    assert max(lengths) == 1000
    assert all(length % 2 == 0 for length in lengths)


def test_a_large_data_set_is_queued_without_a_copy() -> None:
    requestor, _ = connected_pair()
    dataset = bytes(8 * 1024 * 1024)
    tracemalloc.start()
    try:
        requestor.send_message(3, encode_command(STORE), [dataset])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024
    assert sum(len(piece) for piece in requestor.data_to_send()) > len(dataset)


def test_a_message_is_whole_before_the_next_begins() -> None:
    requestor, _ = connected_pair()
    requestor.send_command(3, encode_command(STORE), has_dataset=True)
    with pytest.raises(LocalProtocolError, match="unfinished"):
        requestor.send_command(1, encode_command(ECHO), has_dataset=False)
    with pytest.raises(LocalProtocolError, match="unfinished"):
        requestor.release()
    with pytest.raises(LocalProtocolError, match="no data set is due"):
        requestor.send_dataset_fragment(1, b"", is_last=True)
    with pytest.raises(LocalProtocolError, match="odd"):
        requestor.send_dataset_fragment(3, b"odd", is_last=False)
    requestor.send_dataset_fragment(3, b"", is_last=False)
    requestor.send_dataset_fragment(3, b"odd", is_last=True)
    with pytest.raises(LocalProtocolError, match="no data set is due"):
        requestor.send_dataset_fragment(3, b"", is_last=True)


def test_a_context_that_was_not_accepted_carries_nothing() -> None:
    requestor, _ = connected_pair()
    with pytest.raises(LocalProtocolError, match="not accepted"):
        requestor.send_message(5, encode_command(ECHO))


def test_a_release_is_not_agreed_to_in_the_middle_of_a_message() -> None:
    requestor, acceptor = connected_pair()
    acceptor.send_command(3, encode_command(STORE), has_dataset=True)
    requestor.release()
    acceptor.receive_data(sent(requestor))
    with pytest.raises(LocalProtocolError, match="unfinished"):
        acceptor.reply_release()


def test_an_empty_data_set_ends_with_one_empty_last_fragment() -> None:
    requestor, acceptor = connected_pair()
    requestor.send_message(3, encode_command(STORE), [])
    assert acceptor.receive_data(sent(requestor)) == [
        CommandReceived(3, STORE),
        DatasetFragment(3, b"", is_last=True),
    ]


def test_empty_fragments_in_between_are_not_told() -> None:
    _, acceptor = connected_pair()
    acceptor.receive_data(pdv_pdu(3, encode_command(STORE), command=True, last=True))
    assert acceptor.receive_data(pdv_pdu(3, b"", command=False, last=False)) == []


def test_a_command_arrives_in_any_number_of_fragments() -> None:
    _, acceptor = connected_pair()
    command = encode_command(STORE)
    for position in range(len(command) - 1):
        piece = command[position : position + 1]
        assert acceptor.receive_data(pdv_pdu(3, piece, command=True, last=False)) == []
    assert acceptor.receive_data(pdv_pdu(3, command[-1:], command=True, last=True)) == [
        CommandReceived(3, STORE)
    ]


def test_several_presentation_data_values_may_share_a_pdu() -> None:
    _, acceptor = connected_pair()
    pdvs = (
        p.Pdv(3, is_command=True, is_last=True, fragment=encode_command(STORE)),
        p.Pdv(3, is_command=False, is_last=False, fragment=b"ab"),
        p.Pdv(3, is_command=False, is_last=True, fragment=b"cd"),
    )
    assert acceptor.receive_data(encode(p.PData(pdvs))) == [
        CommandReceived(3, STORE),
        DatasetFragment(3, b"ab", is_last=False),
        DatasetFragment(3, b"cd", is_last=True),
    ]


STORE_COMMAND_PDU = pdv_pdu(3, encode_command(STORE), command=True, last=True)
BROKEN_MESSAGES: dict[str, tuple[list[bytes], str]] = {
    "context never accepted": ([pdv_pdu(5, b"", command=True, last=True)], "never accepted"),
    "data set first": ([pdv_pdu(3, b"ab", command=False, last=True)], "data set fragment"),
    "contexts mixed": (
        [pdv_pdu(3, b"ab", command=True, last=False), pdv_pdu(1, b"ab", command=True, last=False)],
        "mixed",
    ),
    "command inside a data set": (
        [
            pdv_pdu(3, encode_command(STORE), command=True, last=True),
            pdv_pdu(3, b"ab", command=True, last=True),
        ],
        "command fragment",
    ),
    "malformed command": ([pdv_pdu(3, b"ab", command=True, last=True)], "command set"),
    "endless command": ([pdv_pdu(3, bytes(9000), command=True, last=False)] * 2, "more than 16384"),
    "no value in the PDU": ([b"\4\0\0\0\0\0"], "without presentation data values"),
}


@pytest.mark.parametrize("name", BROKEN_MESSAGES)
def test_a_broken_message_is_aborted(name: str) -> None:
    pdus, text = BROKEN_MESSAGES[name]
    _, acceptor = connected_pair()
    events: list[Event] = []
    for pdu in pdus:
        events += acceptor.receive_data(pdu)
    aborted = last_abort(events)
    assert text in aborted.text
    assert not aborted.by_peer
    assert sent(acceptor) == encode(p.Abort(2, AbortReason.INVALID_PARAMETER_VALUE))
    assert acceptor.receive_data(pdus[0]) == []


def test_what_came_before_a_violation_in_the_same_bytes_is_still_told() -> None:
    _, acceptor = connected_pair()
    echo = pdv_pdu(1, encode_command(ECHO), command=True, last=True)
    events = acceptor.receive_data(echo + b"\xee\0\0\0\0\0" + echo)
    assert events[0] == CommandReceived(1, ECHO)
    assert len(events) == 2
    assert last_abort(events).reason == AbortReason.UNRECOGNIZED_PDU


def test_data_that_crosses_our_abort_is_ignored() -> None:
    requestor, acceptor = connected_pair()
    acceptor.abort()
    acceptor.data_to_send()
    requestor.send_message(1, encode_command(ECHO))
    assert acceptor.receive_data(sent(requestor)) == []
    assert acceptor.receive_data(encode(p.ReleaseRequest())) == []
    assert not sent(acceptor)
    assert acceptor.state is State.STA13


# Hostile lengths and strangers.


def test_oversized_pdu_aborts_before_buffering() -> None:
    _, acceptor = connected_pair()
    acceptor.receive_data(b"\4\0\xff\xff\xff")
    waiting_before = acceptor.receiving_pdu
    aborted = last_abort(acceptor.receive_data(b"\xff"))
    assert "4294967295 bytes" in aborted.text
    assert (waiting_before, acceptor.receiving_pdu) == (True, False)
    assert sent(acceptor) == encode(p.Abort(2, AbortReason.INVALID_PARAMETER_VALUE))


@pytest.mark.parametrize(
    ("build", "header"),
    [
        (acceptor_in_sta2, b"\1\0\0\1\0\1"),
        (lambda: connected_pair()[1], b"\4\0\0\x10\0\1"),
        (lambda: connected_pair()[1], b"\5\0\0\0\0\5"),
        (lambda: connected_pair()[1], b"\7\0\xff\xff\xff\xff"),
    ],
)
def test_each_pdu_has_its_own_limit(build: Callable[[], Association], header: bytes) -> None:
    association = build()
    assert "the limit is" in last_abort(association.receive_data(header)).text


def test_the_largest_lawful_pdu_is_taken() -> None:
    _, acceptor = connected_pair()
    acceptor.receive_data(pdv_pdu(3, encode_command(STORE), command=True, last=True))
    whole = pdv_pdu(3, bytes(1024 * 1024 - 6), command=False, last=True)
    (fragment,) = acceptor.receive_data(whole)
    assert isinstance(fragment, DatasetFragment)
    assert len(fragment.fragment) == 1024 * 1024 - 6


def test_data_before_an_association_aborts_on_its_header() -> None:
    acceptor = acceptor_in_sta2()
    aborted = last_abort(acceptor.receive_data(b"\4\0\0\0\x10\0"))
    assert aborted.text == "P_DATA_TF received in Sta2"
    assert sent(acceptor) == encode(p.Abort(0, 0))
    assert acceptor.artim_running


def test_a_tls_client_on_a_plaintext_port_is_explained() -> None:
    acceptor = acceptor_in_sta2()
    hello = bytes.fromhex("16030100f8010000f4")
    assert "TLS ClientHello" in last_abort(acceptor.receive_data(hello)).text


def test_a_plaintext_client_on_a_tls_port_is_explained() -> None:
    requestor = Association(Role.REQUESTOR, Limits())
    requestor.request(request_of(ECHO_CONTEXT))
    requestor.transport_connected()
    assert "expects TLS" in last_abort(requestor.receive_data(bytes.fromhex("15030300020246"))).text


def test_a_second_request_after_a_rejection_gets_one_abort_and_silence() -> None:
    acceptor = acceptor_in_sta2()
    request = encode(request_of(ECHO_CONTEXT))
    acceptor.receive_data(request)
    acceptor.reject(CALLED_AE_NOT_RECOGNIZED)
    acceptor.data_to_send()
    assert acceptor.receive_data(request * 3) == []
    assert sent(acceptor) == encode(p.Abort(2, AbortReason.UNEXPECTED_PDU))


@pytest.mark.parametrize("declared", [1024 * 1024, 0xFFFFFFFF])
def test_a_hostile_length_never_allocates(declared: int) -> None:
    _, acceptor = connected_pair()
    header = b"\4\0" + declared.to_bytes(4, "big")
    tracemalloc.start()
    try:
        acceptor.receive_data(header + bytes(100))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024


def test_a_pdu_sent_byte_by_byte_costs_no_more_than_itself() -> None:
    _, acceptor = connected_pair()
    acceptor.receive_data(b"\4\0\0\4\0\0")
    tracemalloc.start()
    try:
        for _ in range(20_000):
            acceptor.receive_data(b"x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert acceptor.receiving_pdu
    assert peak < 64 * 1024


# Any chunking, any bytes.


def transcript(stream: bytes, cuts: list[int], wrap: Callable[[bytes], bytes | bytearray]) -> list[Event]:
    """Everything an acceptor says about the stream, its fragments read only at the end."""
    acceptor = acceptor_in_sta2()
    events: list[Event] = []
    edges = [0, *sorted(cuts), len(stream)]
    for start, stop in pairwise(edges):
        chunk = wrap(stream[start:stop])
        new = acceptor.receive_data(chunk)
        if isinstance(chunk, bytearray):
            chunk[:] = bytes(len(chunk))  # the shell reuses its buffer
        events += new
        for event in new:
            if isinstance(event, AssociationRequested):
                accept, _ = negotiate(event.request, permitted=EVERYTHING, limits=Limits())
                acceptor.accept(accept)
    return events


def conversation(dataset: bytes, fragment_bytes: int) -> bytes:
    return (
        encode(request_of(ECHO_CONTEXT, CT_CONTEXT))
        + pdv_pdu(1, encode_command(ECHO), command=True, last=True)
        + store_stream(dataset, fragment_bytes)
        + encode(p.ReleaseRequest())
    )


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600), st.integers(1, 50), st.data())
def test_any_chunking_gives_the_same_events(dataset: bytes, half: int, data: st.DataObject) -> None:
    stream = conversation(dataset, 2 * half)
    after_request = len(encode(request_of(ECHO_CONTEXT, CT_CONTEXT)))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=30))
    wrap: Callable[[bytes], bytes | bytearray] = data.draw(st.sampled_from((bytes, bytearray)))
    # Our answer stands between request and data, so a real peer never sends past it in one chunk.
    whole = transcript(stream, [after_request], bytes)
    assert transcript(stream, [*cuts, after_request], wrap) == whole
    assert isinstance(whole[-1], ReleaseRequested)
    received = b"".join(event.fragment for event in whole if isinstance(event, DatasetFragment))
    assert received == dataset


def test_byte_by_byte_gives_the_same_events() -> None:
    stream = conversation(bytes(range(256)), 100)
    after_request = len(encode(request_of(ECHO_CONTEXT, CT_CONTEXT)))
    every = list(range(len(stream)))
    assert transcript(stream, every, bytearray) == transcript(stream, [after_request], bytes)


BUILD: dict[str, Callable[[], Association]] = {
    "awaiting a request": acceptor_in_sta2,
    "associated": lambda: connected_pair()[1],
    "requesting": lambda: connected_pair()[0],
}


@pytest.mark.parametrize("name", BUILD)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_give_only_events(name: str, data: st.DataObject) -> None:
    association = BUILD[name]()
    header = st.builds(
        lambda kind, body: bytes((kind, 0)) + len(body).to_bytes(4, "big") + body,
        st.integers(0, 8),
        st.binary(max_size=80),
    )
    for chunk in data.draw(st.lists(st.binary(max_size=40) | header, max_size=6)):
        events = association.receive_data(chunk)
        assert all(isinstance(event, EVENT_TYPES) for event in events)
        assert all(isinstance(piece, (bytes, memoryview)) for piece in association.data_to_send())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_conversation_gives_only_events(data: st.DataObject) -> None:
    stream = bytearray(conversation(b"0123456789", 4))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    after_request = len(encode(request_of(ECHO_CONTEXT, CT_CONTEXT)))
    events = transcript(bytes(stream), [after_request], bytes)
    assert all(isinstance(event, EVENT_TYPES) for event in events)
