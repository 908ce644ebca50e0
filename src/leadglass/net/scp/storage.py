"""Storage: C-STORE. PS3.4 Annex B, PS3.7 §9.1.1."""

from __future__ import annotations

from typing import ClassVar

from leadglass.archive.ingest import Announced, Incoming, Ingest
from leadglass.archive.jobs import StoreResult
from leadglass.model.errors import LeadglassError
from leadglass.net.scp.link import Link
from leadglass.protocol.commands import CStoreRq, CStoreRsp
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.status import Status


class StoreOperation:
    """One object coming in. Runs without a task: this is the hot path.

    A refused object's bytes are still read to their end, and dropped, because its response may
    only follow the whole request.
    """

    listens: ClassVar[bool] = False

    def __init__(self, ingest: Ingest, link: Link, context: NegotiatedContext, request: CStoreRq) -> None:
        self._link = link
        self._context_id = context.id
        self._request = request
        self._refusal: LeadglassError | None = None
        self._incoming: Incoming | None = ingest.begin(
            Announced(
                caller=link.peer,
                association=link.association,
                sop_class=request.sop_class,
                sop_instance=request.sop_instance,
                transfer_syntax=context.transfer_syntax,
            ),
            link.caught_up,
        )

    def fragment(self, fragment: bytes | memoryview, is_last: bool) -> None:  # noqa: FBT001  the PDV's own flag
        incoming = self._incoming
        if incoming is not None:
            try:
                incoming.fragment(fragment)
                if is_last:
                    incoming.finish(self._settled)
                    self._incoming = None
                    return
                if incoming.is_behind:
                    self._link.fell_behind()
            except LeadglassError as error:
                self._refusal = error
                incoming.refuse(error)
                self._incoming = None
        if is_last and self._refusal is not None:
            self._settled(self._refusal)

    def cancel(self) -> None:
        """A store cannot be cancelled; PS3.7 has no such message for it."""

    def abandon(self) -> None:
        if self._incoming is not None:
            self._incoming.abort()
            self._incoming = None

    def _settled(self, result: StoreResult) -> None:
        """Everything is on disk, or the object was refused: say which."""
        self._link.respond(
            self._context_id,
            CStoreRsp(
                responding_to=self._request.message_id,
                sop_class=self._request.sop_class,
                sop_instance=self._request.sop_instance,
                status=result.dimse_status if isinstance(result, LeadglassError) else Status.SUCCESS,
                error_comment=result.public_message if isinstance(result, LeadglassError) else "",
            ),
        )
        self._link.finished(self)
