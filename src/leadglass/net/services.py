"""Which service answers which request."""

from __future__ import annotations

from dataclasses import dataclass

from leadglass.archive.ingest import Ingest
from leadglass.archive.query import Finder
from leadglass.archive.retrieve import Retriever
from leadglass.gate import Gate
from leadglass.model.action import Verb
from leadglass.model.names import Uid
from leadglass.model.query import Root
from leadglass.net.scp.link import Link, Operation
from leadglass.net.scp.query import FindOperation
from leadglass.net.scp.refused import RefusedOperation
from leadglass.net.scp.retrieve import Deliver, GetOperation, MoveOperation
from leadglass.net.scp.storage import StoreOperation
from leadglass.net.scp.verification import echo
from leadglass.protocol.commands import CEchoRq, CFindRq, CGetRq, CMoveRq, CStoreRq, Request
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.services import PATIENT_ROOT_FIND, PATIENT_ROOT_GET, PATIENT_ROOT_MOVE
from leadglass.protocol.status import Status


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases that services call."""

    gate: Gate
    ingest: Ingest
    finder: Finder
    retriever: Retriever
    deliver: Deliver

    def begin(
        self, link: Link, context: NegotiatedContext, request: Request, refusal: int | None
    ) -> Operation | None:
        """The operation that a request starts; ``None`` when it is answered already.

        The context's service and the command must go together: a C-FIND on a storage context is
        refused with 0x0211. PS3.7 §C.5.
        """
        if refusal is None and request.sop_class != context.abstract_syntax:
            refusal = Status.SOP_CLASS_NOT_SUPPORTED
        if refusal is None:
            if (
                isinstance(request, CEchoRq)
                and context.service is not None
                and context.service.verb is Verb.ECHO
            ):
                echo(self.gate, link, context.id, request)
                return None
            operation = self._serve(link, context, request)
            if operation is not None:
                return operation
            refusal = Status.UNRECOGNIZED_OPERATION
        refused = RefusedOperation(link, context.id, request, refusal)
        if request.has_dataset:
            return refused
        refused.answer()
        return None

    def _serve(self, link: Link, context: NegotiatedContext, request: Request) -> Operation | None:
        match request, context.service.verb if context.service else None:
            case CStoreRq(), Verb.STORE if link.conversation.peer_invokes(context):
                return StoreOperation(self.ingest, link, context, request)
            case CFindRq(), Verb.FIND:
                return FindOperation(self.finder, _root(context.abstract_syntax), link, context, request)
            case CGetRq(), Verb.GET:
                return GetOperation(self.retriever, _root(context.abstract_syntax), link, context, request)
            case CMoveRq(), Verb.MOVE:
                return MoveOperation(
                    self.retriever, self.deliver, _root(context.abstract_syntax), link, context, request
                )
            case _:
                return None


def _root(sop_class: Uid) -> Root:
    """The information model that a query/retrieve SOP class belongs to. PS3.4 §C.6."""
    patient_root = {PATIENT_ROOT_FIND, PATIENT_ROOT_GET, PATIENT_ROOT_MOVE}
    return Root.PATIENT if sop_class in patient_root else Root.STUDY
