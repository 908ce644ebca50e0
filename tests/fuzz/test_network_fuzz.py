"""Broken conversations over real sockets: whatever comes, the server lives, stays small, and serves the next.

Each case is made from LEADGLASS_FUZZ_SEED and its number alone. LEADGLASS_FUZZ_CASES runs more of them.
"""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from leadglass.dataset.header import HeaderLimits, scan_header
from leadglass.dataset.identifier import encode_identifier
from leadglass.dataset.tags import STUDY_INSTANCE_UID
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Level
from leadglass.protocol.codec import encode, p_data_headers
from leadglass.protocol.commands import (
    CCancelRq,
    CEchoRq,
    CFindRq,
    CGetRq,
    CMoveRq,
    Command,
    CStoreRq,
    CStoreRsp,
    NActionRq,
    NGetRq,
)
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.pdu import (
    Abort,
    AsyncWindow,
    IdentityKind,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from leadglass.protocol.reasons import AbortReason, AbortSource
from leadglass.protocol.services import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, VERIFICATION
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from tests.support.hostile_data import CT_IMAGE, deflated, nested_open, small, with_element
from tests.support.leadglass import leadglass
from tests.support.mutations import in_pieces, mutate
from tests.support.raw_peer import DROPPED, RawPeer, anonymous_tls, associate_request, contexts_for
from tests.support.site import make_site
from tests.support.watched_site import WatchedSite, set_limits, watched

CASES = int(os.environ.get("LEADGLASS_FUZZ_CASES", "600"))
SEED = int(os.environ.get("LEADGLASS_FUZZ_SEED", "1"))
PEERS = 4
BATCH = 100
QUIET_S = 0.05
MEMORY_KIB = 96 * 1024
LIMITS = {"associate_rq_s": 5, "pdu_s": 5, "unassociated_per_address": 64}
FLOW = 'fuzz = { from = ["us1"], to = "archive", can = ["echo", "store", "find", "get", "move"] }'
SYNTAXES = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
)
CONTEXTS = [
    ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),
    ProposedContext(3, STUDY_ROOT_FIND, (EXPLICIT_VR_LITTLE_ENDIAN,)),
    ProposedContext(5, STUDY_ROOT_GET, (EXPLICIT_VR_LITTLE_ENDIAN,)),
    ProposedContext(7, STUDY_ROOT_MOVE, (EXPLICIT_VR_LITTLE_ENDIAN,)),
    *(ProposedContext(9 + 2 * number, CT_IMAGE, (syntax,)) for number, syntax in enumerate(SYNTAXES)),
]
USER = UserInformation(
    implementation_class_uid=Uid("2.25.1"),
    implementation_version="FUZZ",
    async_window=AsyncWindow(4, 1),
    roles=(RoleSelection(CT_IMAGE, scu=True, scp=True),),
    identity=UserIdentity(IdentityKind.USERNAME, response_requested=True, primary=b"nobody"),
)
REQUEST = associate_request("US1", CONTEXTS, user=USER)
FIRST_STORE_CONTEXT = 9
HEADER = scan_header(small(1).dataset, EXPLICIT_VR_LITTLE_ENDIAN, HeaderLimits())
STUDY = HEADER.values[STUDY_INSTANCE_UID].decode().rstrip("\0")


@dataclass(frozen=True, slots=True)
class Part:
    """One message before it is cut into PDUs."""

    context_id: int
    command: bytes
    dataset: bytes | None


def part(context_id: int, command: Command, dataset: bytes | None = None) -> Part:
    return Part(context_id, encode_command(command), dataset)


def query(level: Level, *keys: tuple[str, str]) -> bytes:
    return encode_identifier(level, keys, EXPLICIT_VR_LITTLE_ENDIAN)


def storing() -> list[Part]:
    """C-STORE requests in every syntax that the scan knows."""
    explicit = small(1)
    implicit = small(2, transfer_syntax=IMPLICIT_VR_LITTLE_ENDIAN)
    nested = with_element(small(3), nested_open(20, explicit=True))
    made = ((0, explicit), (0, nested), (1, implicit), (2, deflated(small(4))), (3, small(5)))
    return [
        part(
            FIRST_STORE_CONTEXT + 2 * index,
            CStoreRq(10 + number, instance.sop_class, instance.sop_instance),
            instance.dataset,
        )
        for number, (index, instance) in enumerate(made)
    ]


VALID = (
    part(1, CEchoRq(1, VERIFICATION)),
    part(
        3, CFindRq(2, STUDY_ROOT_FIND), query(Level.STUDY, ("PatientName", "*"), ("StudyDate", "20240101-"))
    ),
    part(3, CFindRq(3, STUDY_ROOT_FIND), query(Level.SERIES, ("StudyInstanceUID", STUDY), ("Modality", ""))),
    part(5, CGetRq(4, STUDY_ROOT_GET), query(Level.STUDY, ("StudyInstanceUID", f"{STUDY}\\2.25.2"))),
    part(7, CMoveRq(5, STUDY_ROOT_MOVE, AETitle("US1")), query(Level.STUDY, ("StudyInstanceUID", STUDY))),
    part(3, CCancelRq(2)),
    part(9, CStoreRsp(1, Status.SUCCESS, CT_IMAGE, Uid("1.2.3"))),
    part(1, NGetRq(6, VERIFICATION, Uid("1.2.3"), (0x00100010,))),
    part(1, NActionRq(7, VERIFICATION, Uid("1.2.3"), 1, has_dataset=True), b"\x08\x00\x05\x00CS\x00\x00"),
    *storing(),
)
ENDS = (
    encode(ReleaseRequest()),
    encode(ReleaseReply()),
    encode(Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED)),
    b"",
)


def pdus(source: random.Random, message: Part) -> bytes:
    """A message cut into PDUs of some size."""
    size = source.choice((1, 16, 128, 1024, 16 * 1024))
    cut = []
    for content, is_command in ((message.command, True), (message.dataset, False)):
        if content is None:
            continue
        step = max(size, len(content) // 64)
        for start in range(0, len(content) or 1, step):
            piece = content[start : start + step]
            is_last = start + step >= len(content)
            head = p_data_headers(message.context_id, len(piece), is_command=is_command, is_last=is_last)
            cut += [head, piece]
    return b"".join(cut)


def conversation(source: random.Random) -> bytes:
    """Some valid messages and an end."""
    messages = [pdus(source, source.choice(VALID)) for _ in range(source.randint(1, 4))]
    return b"".join([*messages, source.choice(ENDS)])


def broken_request(source: random.Random) -> list[bytes]:
    return [mutate(source, REQUEST) + (conversation(source) if source.random() < 0.3 else b"")]


def broken_pdus(source: random.Random) -> list[bytes]:
    return [REQUEST, mutate(source, conversation(source))]


def broken_commands(source: random.Random) -> list[bytes]:
    message = source.choice(VALID)
    command = mutate(source, message.command)
    if source.random() < 0.7 and len(command) >= 12:  # a right group length brings it past the first check
        command = command[:8] + (len(command) - 12).to_bytes(4, "little") + command[12:]
    return [REQUEST, pdus(source, Part(message.context_id, command, message.dataset)) + conversation(source)]


def broken_datasets(source: random.Random) -> list[bytes]:
    message = source.choice([message for message in VALID if message.dataset is not None])
    dataset = mutate(source, message.dataset or b"")
    return [REQUEST, pdus(source, Part(message.context_id, message.command, dataset)) + conversation(source)]


def everything_at_once(source: random.Random) -> list[bytes]:
    return [REQUEST + conversation(source)]


PLAINTEXT: tuple[Callable[[random.Random], list[bytes]], ...] = (
    broken_request,
    broken_pdus,
    broken_commands,
    broken_datasets,
    everything_at_once,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[WatchedSite]:
    made = make_site(tmp_path)
    set_limits(made, LIMITS)
    ct1 = made.add_device("ct1", "modalities", "CT1", makes=("CT", "SR"))
    made.add_device("us1", "legacy", "US1")
    made.edit_policy("\n[grants]", f"\n{FLOW}\n\n[grants]")
    with watched(made, ct1) as served:
        yield served


def client_hello(tls: ssl.SSLContext) -> bytes:
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def converse(peer: RawPeer, source: random.Random, steps: list[bytes]) -> None:
    """Send each step in pieces, hear what comes, and hang up."""
    with suppress(TimeoutError, *DROPPED):
        for step in steps:
            for piece in in_pieces(source, step):
                peer.send(piece)
            peer.receive()
        while peer.receive() is not None:
            pass


def run_case(site: WatchedSite, hello: bytes, number: int) -> None:
    """One case: in plaintext, inside TLS, or TLS itself broken."""
    source = random.Random(f"{SEED}/{number}")
    kind = number % (len(PLAINTEXT) + 2)
    tls = None
    port = site.site.plain_port
    if kind < len(PLAINTEXT):
        steps = PLAINTEXT[kind](source)
    elif kind == len(PLAINTEXT):
        port, steps = site.site.tls_port, [mutate(source, hello)]
    else:
        port, tls = site.site.tls_port, site.ct1_tls
        steps = [step.replace(b"US1 ", b"CT1 ") for step in source.choice(PLAINTEXT)(source)]
    with suppress(*DROPPED), RawPeer(port, tls=tls) as peer:
        peer.socket.settimeout(QUIET_S)
        converse(peer, source, steps)


def require_echo(site: WatchedSite) -> None:
    with RawPeer(site.site.plain_port) as peer:
        peer.open("US1", contexts_for(VERIFICATION))
        assert peer.echo(1) == Status.SUCCESS
        peer.release()


@pytest.mark.timeout(120 + CASES)
def test_broken_conversations_harm_nobody(site: WatchedSite) -> None:
    hello = client_hello(anonymous_tls(site.ct1))
    site.scan()
    require_echo(site)
    before = site.resident_kib()
    with ThreadPoolExecutor(PEERS) as pool:
        for start in range(0, CASES, BATCH):
            numbers = range(start, min(start + BATCH, CASES))
            list(pool.map(lambda number: run_case(site, hello, number), numbers))
            where = f"seed {SEED}, cases {numbers}"
            assert site.server.exit_code is None, f"{where}: {site.server.text()}"
            assert site.resident_kib() - before < MEMORY_KIB, where
            log = site.server.text()
            assert '"level": "error"' not in log, f"{where}: {log}"
            require_echo(site)
    site.require_unharmed()
    checked = leadglass(site.site.home, "check")
    assert checked.exit_code == 0, checked
