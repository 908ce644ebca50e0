"""Objects and queries that no honest device sends: a typed refusal each, and the association goes on."""

from __future__ import annotations

import itertools
import os
import random
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

from leadglass.dataset.header import HeaderLimits, scan_header
from leadglass.dataset.identifier import encode_identifier
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.model.decision import Step
from leadglass.model.event import Outcome
from leadglass.model.names import Uid
from leadglass.model.query import Level
from leadglass.protocol.codec import p_data_headers
from leadglass.protocol.commands import CFindRq, CStoreRq
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.services import STUDY_ROOT_FIND, VERIFICATION
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from tests.support.hostile_data import (
    CT_IMAGE,
    MR_IMAGE,
    deflated,
    element_head,
    large,
    nested_closed,
    nested_open,
    small,
    with_element,
)
from tests.support.raw_peer import FRAGMENT_BYTES, RawPeer, client_tls, contexts_for, message, store_message
from tests.support.site import Credentials, make_site
from tests.support.watched_site import WatchedSite, failed_rung, set_limits, watched

DEEP = 10_000
MIB = 1 << 20
INFLATED_MIB = 8
MEMORY_KIB = 32 * 1024
FRAGMENTED_BYTES = int(os.environ.get("LEADGLASS_FRAGMENTED_BYTES", str(512 * 1024)))
BITE_BYTES = 4096
PRIVATE = (0x0041, 0x1001)
LONG_TEXT = (0x0040, 0xA160)  # Text Value, UT


@pytest.fixture(scope="module")
def ws1_and_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Credentials, WatchedSite]]:
    site = make_site(tmp_path_factory.mktemp("site"))
    set_limits(site, {"element_mib": 1, "inflate_mib": INFLATED_MIB})
    ct1 = site.add_device("ct1", "modalities", "CT1", makes=("CT", "SR"))
    ws1 = site.add_device("ws1", "reading", "WS1")
    with watched(site, ct1) as served:
        yield ws1, served


@pytest.fixture(scope="module")
def site(ws1_and_site: tuple[Credentials, WatchedSite]) -> WatchedSite:
    return ws1_and_site[1]


@pytest.fixture(scope="module")
def ws1(ws1_and_site: tuple[Credentials, WatchedSite]) -> Credentials:
    return ws1_and_site[0]


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def number(numbers: Iterator[int]) -> int:
    """Of this test's object, and of the address it comes from."""
    return next(numbers)


@pytest.fixture
def address(number: int) -> str:
    return f"127.66.0.{number}"


@pytest.fixture(autouse=True)
def _unharmed(site: WatchedSite) -> Iterator[None]:
    yield
    site.require_unharmed()


def refused(site: WatchedSite, address: str, instance: SyntheticInstance, context: Uid | None = None) -> int:
    """Store it, be refused, and go on. The status; the trail has a line of it and the archive nothing."""
    proposed = contexts_for(context or instance.sop_class, VERIFICATION)
    proposed[0] = replace(proposed[0], transfer_syntaxes=(instance.transfer_syntax,))
    before = site.resident_kib()
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as peer:
        peer.open("CT1", proposed)
        status = peer.store(1, instance)
        assert peer.echo(3, 2) == Status.SUCCESS
        peer.release()
    assert site.resident_kib() - before < MEMORY_KIB
    assert instance.sop_instance not in site.instances()
    return status


def require_told(site: WatchedSite, address: str, instance: SyntheticInstance, said: str) -> None:
    """The trail has a refusal whose ladder was climbed up to the object itself."""
    event = site.line("instance.refused", address=address, said=said)
    assert (event.outcome, event.who) == (Outcome.FAILED, "ct1")
    assert event.instance == instance.sop_instance
    rung = failed_rung(event)
    assert (rung.step, rung.detail) == (Step.CONDITIONS, event.reason)


@pytest.mark.parametrize(
    ("syntax", "nest"),
    [
        (EXPLICIT_VR_LITTLE_ENDIAN, nested_open(DEEP, explicit=True)),
        (EXPLICIT_VR_LITTLE_ENDIAN, nested_closed(DEEP, explicit=True)),
        (IMPLICIT_VR_LITTLE_ENDIAN, nested_open(DEEP, explicit=False)),
        (IMPLICIT_VR_LITTLE_ENDIAN, nested_closed(DEEP, explicit=False)),
    ],
    ids=["explicit-undefined", "explicit-defined", "implicit-undefined", "implicit-defined"],
)
def test_ten_thousand_nested_sequences_are_refused(
    site: WatchedSite, number: int, address: str, syntax: Uid, nest: bytes
) -> None:
    instance = with_element(small(number, transfer_syntax=syntax), nest)
    assert refused(site, address, instance) == Status.CANNOT_UNDERSTAND
    require_told(site, address, instance, "nested deeper than 100")


def test_nested_sequences_of_unknown_vr_are_refused(site: WatchedSite, number: int, address: str) -> None:
    """UN of undefined length is a sequence in implicit VR. PS3.5 §6.2.2."""
    inner = nested_open(DEEP, explicit=False)
    head = element_head((0x0040, 0xA730), "UN", 0xFFFFFFFF, explicit=True)
    instance = with_element(small(number), head + inner[8:])
    assert refused(site, address, instance) == Status.CANNOT_UNDERSTAND
    require_told(site, address, instance, "nested deeper than 100")


def test_an_element_larger_than_the_limit_is_refused(site: WatchedSite, number: int, address: str) -> None:
    element = element_head(LONG_TEXT, "UT", 2 * MIB, explicit=True) + b"x" * (2 * MIB)
    instance = with_element(small(number), element)
    assert refused(site, address, instance) == Status.CANNOT_UNDERSTAND
    require_told(site, address, instance, f"larger than {MIB} bytes")


def test_an_element_that_claims_4_gib_is_refused(site: WatchedSite, number: int, address: str) -> None:
    element = element_head(LONG_TEXT, "UT", 0xFFFFFFFE, explicit=True) + b"x" * 1000
    instance = with_element(small(number), element)
    assert refused(site, address, instance) == Status.CANNOT_UNDERSTAND
    require_told(site, address, instance, "(0040,A160)")


def test_an_indexed_value_too_long_for_the_index_is_refused(
    site: WatchedSite, number: int, address: str
) -> None:
    instance = small(number, transfer_syntax=IMPLICIT_VR_LITTLE_ENDIAN)
    short = struct.pack("<HHL", 0x0010, 0x0020, 8) + b"SYN-0001"
    long = struct.pack("<HHL", 0x0010, 0x0020, 70_000) + b"P" * 70_000
    assert short in instance.dataset
    instance = replace(instance, dataset=instance.dataset.replace(short, long))
    assert refused(site, address, instance) == Status.CANNOT_UNDERSTAND
    require_told(site, address, instance, "over 65535 bytes")


def test_a_data_set_of_another_class_than_the_command_is_refused(
    site: WatchedSite, number: int, address: str
) -> None:
    instance = replace(small(number), sop_class=MR_IMAGE)
    assert refused(site, address, instance) == Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
    require_told(site, address, instance, "(0008,0016) is not what the command announced")


def test_a_data_set_of_another_instance_than_the_command_is_refused(
    site: WatchedSite, number: int, address: str
) -> None:
    other = small(number).sop_instance
    instance = replace(small(number), sop_instance=Uid("1.2.3.4"))
    assert refused(site, address, instance) == Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
    require_told(site, address, instance, "(0008,0018) is not what the command announced")
    assert other not in site.instances()


def test_a_command_of_another_class_than_its_context_is_refused(
    site: WatchedSite, number: int, address: str
) -> None:
    instance = small(number)
    assert refused(site, address, instance, context=MR_IMAGE) == Status.SOP_CLASS_NOT_SUPPORTED


@pytest.mark.parametrize("kept", [0, 1, 7, 200, 3000])
def test_a_data_set_cut_short_is_refused(site: WatchedSite, number: int, address: str, kept: int) -> None:
    whole = with_element(small(number), element_head(PRIVATE, "UT", 10_000, explicit=True) + b"y" * 10_000)
    instance = replace(whole, dataset=whole.dataset[:kept])
    assert refused(site, address, instance) in {
        Status.CANNOT_UNDERSTAND,
        Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
    }
    assert failed_rung(site.line("instance.refused", address=address)).step is Step.CONDITIONS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(64 * MIB), "inflates more than 200 times"),
        (
            (random.Random(1).randbytes(400) + bytes(32 * 1024)) * 500,
            f"inflates past {INFLATED_MIB * MIB} bytes",
        ),
    ],
    ids=["ratio", "size"],
)
def test_a_deflate_bomb_is_refused(
    site: WatchedSite, number: int, address: str, content: bytes, said: str
) -> None:
    blown = element_head(PRIVATE, "OB", len(content), explicit=True) + content
    bomb = deflated(with_element(small(number), blown))
    assert len(bomb.dataset) < len(content) // 50
    assert refused(site, address, bomb) == Status.CANNOT_UNDERSTAND
    require_told(site, address, bomb, said)


def test_a_data_set_that_is_not_deflated_as_it_says_is_refused(
    site: WatchedSite, number: int, address: str
) -> None:
    instance = replace(small(number), transfer_syntax=DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    assert refused(site, address, instance) == Status.CANNOT_UNDERSTAND
    require_told(site, address, instance, "not a deflated data set")


def test_an_object_in_single_bytes_is_taken_in_bounded_memory(
    site: WatchedSite, number: int, address: str
) -> None:
    """Each byte in a P-DATA-TF of its own, 13 bytes of wire for one of data; then the rest of 4 MiB."""
    instance = large(number, 4 * MIB)
    command = encode_command(CStoreRq(1, instance.sop_class, instance.sop_instance))
    content = instance.dataset
    head = p_data_headers(1, 1, is_command=False, is_last=False)
    rest = content[FRAGMENTED_BYTES:-1]
    before = site.resident_kib()
    peak = 0
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address, timeout_s=100) as peer:
        peer.open("CT1", contexts_for(CT_IMAGE))
        peer.send(p_data_headers(1, len(command), is_command=True, is_last=True), command)
        for start in range(0, FRAGMENTED_BYTES, BITE_BYTES):
            bite = content[start : start + BITE_BYTES]
            peer.send(*(head + bytes((byte,)) for byte in bite))
            peak = max(peak, site.resident_kib())
        for start in range(0, len(rest), FRAGMENT_BYTES):
            piece = rest[start : start + FRAGMENT_BYTES]
            peer.send(p_data_headers(1, len(piece), is_command=False, is_last=False), piece)
        peer.send(p_data_headers(1, 1, is_command=False, is_last=True), content[-1:])
        assert peer.status() == Status.SUCCESS
        peer.release()
    assert peak - before < MEMORY_KIB
    assert instance.sop_instance in site.instances()


@pytest.mark.parametrize(
    "identifier",
    [
        nested_open(DEEP, explicit=True),
        nested_closed(DEEP, explicit=True),
        encode_identifier(Level.STUDY, [("PatientID", "*")], EXPLICIT_VR_LITTLE_ENDIAN)[:-3],
        b"\xff" * 100,
        b"",
    ],
    ids=["nested-undefined", "nested-defined", "cut", "noise", "empty"],
)
def test_a_query_that_makes_no_sense_is_refused_and_told(
    site: WatchedSite, ws1: Credentials, number: int, identifier: bytes
) -> None:
    source = f"127.0.3.{number}"
    with RawPeer(site.site.tls_port, tls=client_tls(ws1), source=source) as peer:
        peer.open("WS1", contexts_for(STUDY_ROOT_FIND, VERIFICATION))
        peer.send(message(1, CFindRq(1, STUDY_ROOT_FIND), identifier))
        assert peer.status() in {Status.CANNOT_UNDERSTAND, Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS}
        assert peer.echo(3, 2) == Status.SUCCESS
        peer.release()
    event = site.line("query.answered", address=source)
    assert (event.outcome, event.who, event.count) == (Outcome.FAILED, "ws1", 0)
    rung = failed_rung(event)
    assert (rung.step, rung.detail) == (Step.CONDITIONS, event.reason)


def test_an_identifier_larger_than_any_query_is_refused(site: WatchedSite, ws1: Credentials) -> None:
    with RawPeer(site.site.tls_port, tls=client_tls(ws1), source="127.0.3.1") as peer:
        peer.open("WS1", contexts_for(STUDY_ROOT_FIND, VERIFICATION))
        peer.send(message(1, CFindRq(1, STUDY_ROOT_FIND), b"x" * (2 * MIB)))
        assert peer.status() == Status.OUT_OF_RESOURCES
        assert peer.echo(3, 2) == Status.SUCCESS
        peer.release()


def test_a_scanner_that_was_refused_may_store_the_sound_object(
    site: WatchedSite, number: int, address: str
) -> None:
    sound = small(number)
    broken = with_element(sound, nested_open(DEEP, explicit=True))
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as peer:
        peer.open("CT1", contexts_for(CT_IMAGE))
        peer.send(store_message(1, broken, 1), store_message(1, sound, 2))
        assert [peer.status(), peer.status()] == [Status.CANNOT_UNDERSTAND, Status.SUCCESS]
        peer.release()
    assert sound.sop_instance in site.instances()
    assert scan_header(sound.dataset, sound.transfer_syntax, HeaderLimits()).pixel_offset
