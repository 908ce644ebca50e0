"""Our own client, for tests: opens an association, does one thing, and tells what the archive answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from leadglass.dataset.identifier import encode_identifier
from leadglass.identity.clock import SystemClock
from leadglass.identity.peers import ServerName
from leadglass.identity.tls import client_context
from leadglass.model.names import AETitle, Uid
from leadglass.model.query import Level
from leadglass.net.connection import Deadlines
from leadglass.net.scu import Requestor, Target
from leadglass.net.sending import store
from leadglass.protocol.commands import CGetRsp, CStoreRq
from leadglass.protocol.limits import MAX_PRESENTATION_CONTEXTS, Limits
from leadglass.protocol.negotiation import NegotiatedContext, user_information
from leadglass.protocol.pdu import AssociateRequest, ProposedContext, RoleSelection
from leadglass.protocol.services import PATIENT_ROOT_GET, STUDY_ROOT_GET
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from tests.support.ports import LOOPBACK
from tests.support.site import Credentials

PIECE_BYTES = 1 << 18
REFUSED_CONTEXT = -1  # what ``send`` tells of an object whose presentation context was refused


@dataclass(frozen=True, slots=True)
class SentObject:
    """One object as it goes out: no file meta group."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset: bytes


@dataclass(frozen=True, slots=True)
class GotObject:
    """One object as it came: its transfer syntax and its data set."""

    transfer_syntax: str
    dataset: bytes


@dataclass(frozen=True, slots=True)
class Got:
    """What a C-GET brought, by SOP Instance UID, how it ended, and the failed list's bytes."""

    objects: dict[str, GotObject]
    end: CGetRsp
    identifier: bytes


@dataclass(slots=True)
class _Arriving:
    """Gathers one object of a C-GET."""

    request: CStoreRq
    transfer_syntax: str
    into: dict[str, GotObject]
    pieces: list[bytes] = field(default_factory=list)

    def fragment(self, fragment: bytes | memoryview) -> None:
        self.pieces.append(bytes(fragment))

    def finish(self) -> int:
        self.into[self.request.sop_instance] = GotObject(self.transfer_syntax, b"".join(self.pieces))
        return 0x0000

    def abandon(self) -> None:
        self.pieces.clear()


@dataclass(frozen=True, slots=True)
class Client:
    """A device that is Leadglass's own client. Without credentials it speaks plaintext."""

    port: int
    calling: str
    called: str
    credentials: Credentials | None

    def send(self, objects: Sequence[SentObject]) -> list[int]:
        """C-STORE, in order; the status of each. As many associations as the kinds need."""
        return asyncio.run(self._send(objects))

    def get(
        self,
        level: Level,
        keys: Sequence[tuple[str, str]],
        kinds: Sequence[tuple[str, str]],
        sop_class: Uid = STUDY_ROOT_GET,
    ) -> Got:
        """C-GET, taking these SOP classes each in that transfer syntax."""
        return asyncio.run(self._get(level, keys, kinds, sop_class))

    def get_patient(self, patient_id: str, kinds: Sequence[tuple[str, str]]) -> Got:
        """C-GET of all of a patient."""
        return self.get(Level.PATIENT, [("PatientID", patient_id)], kinds, PATIENT_ROOT_GET)

    async def open(
        self,
        kinds: Sequence[tuple[str, str]],
        receive: dict[str, GotObject] | None = None,
    ) -> Requestor:
        """An association, proposing each kind in a context of its own. ``receive`` takes C-GET's objects."""
        limits = Limits()
        user = user_information(limits)
        roles = sorted({sop_class for sop_class, _ in kinds[1:]}) if receive is not None else []
        request = AssociateRequest(
            called_ae=AETitle(self.called),
            calling_ae=AETitle(self.calling),
            contexts=tuple(
                ProposedContext(2 * number + 1, Uid(sop_class), (Uid(syntax),))
                for number, (sop_class, syntax) in enumerate(kinds)
            ),
            user=type(user)(
                user.max_pdu_bytes,
                user.implementation_class_uid,
                user.implementation_version,
                roles=tuple(RoleSelection(Uid(sop_class), scu=False, scp=True) for sop_class in roles),
            ),
        )

        def arriving(command: CStoreRq, context: NegotiatedContext) -> _Arriving:
            return _Arriving(command, context.transfer_syntax, receive if receive is not None else {})

        return await Requestor.open(
            self._target(), request, limits=limits, deadlines=Deadlines(), receive=arriving
        )

    def _target(self) -> Target:
        credentials = self.credentials
        if credentials is None:
            return Target(LOOPBACK, self.port)
        context = client_context(credentials.cert, credentials.key, credentials.ca, SystemClock())
        return Target(LOOPBACK, self.port, lambda: context.session(ServerName(LOOPBACK)))

    async def _send(self, objects: Sequence[SentObject]) -> list[int]:
        statuses: list[int] = []
        position = 0
        while position < len(objects):
            kinds: dict[tuple[str, str], None] = {}
            begin = position
            while position < len(objects):
                kinds[objects[position].sop_class, objects[position].transfer_syntax] = None
                if len(kinds) > MAX_PRESENTATION_CONTEXTS:
                    break
                position += 1
            async with await self.open(list(kinds)[:MAX_PRESENTATION_CONTEXTS]) as requestor:
                statuses += [await _store(requestor, each) for each in objects[begin:position]]
        return statuses

    async def _get(
        self,
        level: Level,
        keys: Sequence[tuple[str, str]],
        kinds: Sequence[tuple[str, str]],
        sop_class: Uid,
    ) -> Got:
        objects: dict[str, GotObject] = {}
        contexts = [(str(sop_class), str(EXPLICIT_VR_LITTLE_ENDIAN)), *kinds]
        async with await self.open(contexts, objects) as requestor:
            exchange = requestor.get(sop_class, lambda syntax: encode_identifier(level, keys, syntax))
            replies = [reply async for reply in exchange]
        end = replies[-1].command
        assert isinstance(end, CGetRsp)
        return Got(objects, end, replies[-1].dataset)


async def _store(requestor: Requestor, sent: SentObject) -> int:
    context = requestor.conversation.storage_contexts(Uid(sent.sop_class)).get(Uid(sent.transfer_syntax))
    if context is None:
        return REFUSED_CONTEXT
    return await store(requestor.conversation, context, Uid(sent.sop_instance), _pieces(sent.dataset))


async def _pieces(dataset: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(dataset), PIECE_BYTES):
        yield dataset[begin : begin + PIECE_BYTES]
