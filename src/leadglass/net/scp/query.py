"""Query: C-FIND. PS3.4 §C.4.1, PS3.7 §9.1.2."""

from __future__ import annotations

from typing import ClassVar

from leadglass.archive.query import Answers, Asked, Finder
from leadglass.model.errors import LeadglassError, OutOfResources
from leadglass.model.query import DateTimeMatching, Root
from leadglass.net.scp.link import Link
from leadglass.protocol.commands import CFindRq, CFindRsp
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.status import Status

MAX_IDENTIFIER_BYTES = 1 << 20


class FindOperation:
    """One query: collects the identifier, then answers from a task of its own."""

    listens: ClassVar[bool] = True

    def __init__(
        self, finder: Finder, root: Root, link: Link, context: NegotiatedContext, request: CFindRq
    ) -> None:
        self._finder = finder
        self._root = root
        self._link = link
        self._context = context
        self._request = request
        self._identifier = bytearray()
        self._stopped_by = ""
        self._unsent: list[tuple[CFindRsp, bytes | None]] = []

    def fragment(self, fragment: bytes | memoryview, is_last: bool) -> None:  # noqa: FBT001  the PDV's own flag
        if len(self._identifier) <= MAX_IDENTIFIER_BYTES:
            self._identifier += fragment
        if is_last:
            self._link.spawn(self._answer())

    def cancel(self) -> None:
        self._stopped_by = "cancelled by the peer"

    def abandon(self) -> None:
        self._stopped_by = "the association ended"

    async def _answer(self) -> None:
        try:
            if len(self._identifier) > MAX_IDENTIFIER_BYTES:
                raise OutOfResources("the identifier is larger than 1 MiB")
            answers = self._finder.begin(
                Asked(
                    caller=self._link.peer,
                    association=self._link.association,
                    root=self._root,
                    identifier=bytes(self._identifier),
                    transfer_syntax=self._context.transfer_syntax,
                    date_times=(
                        DateTimeMatching.COMBINED
                        if self._context.combined_date_times
                        else DateTimeMatching.SEPARATE
                    ),
                )
            )
            status = await self._send(answers)
        except LeadglassError as error:
            self._add(error.dimse_status, None, error.public_message)
        else:
            self._add(status, None, "")
        finally:
            self._send_added()
            self._link.finished(self)

    async def _send(self, answers: Answers) -> int:
        pending = Status.PENDING if answers.all_keys_supported else Status.PENDING_OPTIONAL_KEYS_NOT_SUPPORTED
        reason = "the server ended"
        try:
            while not answers.at_end:
                for identifier in answers.release(await self._link.run(answers.next_chunk)):
                    if self._stopped_by:
                        reason = self._stopped_by
                        return Status.CANCEL
                    self._add(pending, identifier, "")
                if not answers.at_end:  # else they go out together with the last response
                    self._send_added()
                    await self._link.conversation.connection.drained()
            reason = ""
        except LeadglassError as error:
            reason = str(error)
            raise
        finally:
            answers.close(reason)
        return Status.SUCCESS

    def _add(self, status: int, identifier: bytes | None, comment: str) -> None:
        response = CFindRsp(
            responding_to=self._request.message_id,
            sop_class=self._request.sop_class,
            status=status,
            error_comment=comment,
            has_dataset=identifier is not None,
        )
        self._unsent.append((response, identifier))

    def _send_added(self) -> None:
        self._link.respond_all(self._context.id, self._unsent)
        self._unsent = []
