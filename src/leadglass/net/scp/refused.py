"""A request that is not served: its data set is read to the end, then it gets its status."""

from __future__ import annotations

from typing import ClassVar

from leadglass.net.scp.link import Link
from leadglass.protocol import commands as c


class RefusedOperation:
    """Answers with a failure when the request is complete. PS3.7 §9.1, Annex C."""

    listens: ClassVar[bool] = False

    def __init__(self, link: Link, context_id: int, request: c.Request, status: int) -> None:
        self._link = link
        self._context_id = context_id
        self._request = request
        self._status = status

    def fragment(self, fragment: bytes | memoryview, is_last: bool) -> None:  # noqa: FBT001  the PDV's own flag
        if is_last:
            self.answer()

    def answer(self) -> None:
        """Send the failure."""
        self._link.respond(self._context_id, failure(self._request, self._status))
        self._link.finished(self)

    def cancel(self) -> None:
        """It is refused already."""

    def abandon(self) -> None:
        """It keeps nothing."""


def failure(request: c.Request, status: int) -> c.Response:
    """The response to a request that was not performed. PS3.7 §9.3, §10.3."""
    to, sop_class = request.message_id, request.sop_class
    match request:
        case c.CStoreRq():
            return c.CStoreRsp(to, status, sop_class, request.sop_instance)
        case c.CFindRq():
            return c.CFindRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.CGetRq():
            return c.CGetRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.CMoveRq():
            return c.CMoveRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.CEchoRq():
            return c.CEchoRsp(to, status, sop_class)
        case c.NEventReportRq():
            return c.NEventReportRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.NGetRq():
            return c.NGetRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.NSetRq():
            return c.NSetRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.NActionRq():
            return c.NActionRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.NCreateRq():
            return c.NCreateRsp(to, status, has_dataset=False, sop_class=sop_class)
        case c.NDeleteRq():
            return c.NDeleteRsp(to, status, sop_class)
