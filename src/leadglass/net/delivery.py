"""The associations of a C-MOVE to its destination. PS3.4 §C.4.2.2.1."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from leadglass.archive.retrieve import (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    Destination,
    Retrieval,
)
from leadglass.identity.session import TlsSession
from leadglass.model.errors import MoveDestinationUnknown, OutOfResources
from leadglass.model.instance import StoredInstance
from leadglass.model.names import AETitle, Uid
from leadglass.net.connection import Deadlines
from leadglass.net.conversation import Conversation
from leadglass.net.scu import Requestor, Target
from leadglass.policy.model import Device
from leadglass.protocol.limits import MAX_PRESENTATION_CONTEXTS, Limits
from leadglass.protocol.negotiation import user_information
from leadglass.protocol.pdu import AssociateRequest, ProposedContext

ClientTls = Callable[[Device], Callable[[], TlsSession] | None]


class Delivery:
    """Opens associations to devices; implements ``scp.retrieve.Deliver``.

    ``client_tls`` makes sessions that take nobody but that device, or ``None`` for one in a
    plaintext zone.
    """

    def __init__(
        self, calling_ae: AETitle, client_tls: ClientTls, limits: Limits, deadlines: Deadlines
    ) -> None:
        self._calling_ae = calling_ae
        self._client_tls = client_tls
        self._limits = limits
        self._deadlines = deadlines

    @asynccontextmanager
    async def __call__(
        self, retrieval: Retrieval, instances: Sequence[StoredInstance]
    ) -> AsyncIterator[Conversation]:
        destination = retrieval.destination
        address = destination.device.address if destination else None
        if destination is None or address is None:
            raise MoveDestinationUnknown("the destination has no address")
        target = Target(str(address.host), address.port, self._client_tls(destination.device))
        request = self._request(destination, instances)
        async with await Requestor.open(
            target, request, limits=self._limits, deadlines=self._deadlines
        ) as requestor:
            yield requestor.conversation

    def _request(self, destination: Destination, instances: Sequence[StoredInstance]) -> AssociateRequest:
        return AssociateRequest(
            called_ae=destination.ae,
            calling_ae=self._calling_ae,
            contexts=propose(instances),
            user=user_information(self._limits),
        )


def propose(instances: Sequence[StoredInstance]) -> tuple[ProposedContext, ...]:
    """A context for each class in each stored transfer syntax, and one each for conversions.

    Raises:
        OutOfResources: more kinds of objects than one association has contexts (PS3.8 §7.1.1.13).
    """
    stored: dict[Uid, set[Uid]] = {}
    for instance in instances:
        stored.setdefault(instance.sop_class, set()).add(instance.transfer_syntax)
    uncompressed = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
    offers: list[tuple[Uid, tuple[Uid, ...]]] = []
    for sop_class, syntaxes in sorted(stored.items()):
        offers.extend((sop_class, (syntax,)) for syntax in sorted(syntaxes))
        offers.extend((sop_class, (syntax,)) for syntax in uncompressed if syntax not in syntaxes)
    if len(offers) > MAX_PRESENTATION_CONTEXTS:
        raise OutOfResources("too many kinds of objects for one association; ask for fewer at a time")
    return tuple(
        ProposedContext(2 * number + 1, sop_class, syntaxes)
        for number, (sop_class, syntaxes) in enumerate(offers)
    )
