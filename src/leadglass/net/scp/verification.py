"""Verification: C-ECHO. PS3.4 Annex A, PS3.7 §9.1.5."""

from __future__ import annotations

from leadglass.gate import Gate
from leadglass.model.action import Action, Verb
from leadglass.model.errors import LeadglassError
from leadglass.net.scp.link import Link
from leadglass.protocol.commands import CEchoRq, CEchoRsp
from leadglass.protocol.status import Status


def echo(gate: Gate, link: Link, context_id: int, request: CEchoRq) -> None:
    """Answer at once: success, or why not."""
    status: int = Status.SUCCESS
    try:
        gate.permit(link.peer, Action(Verb.ECHO), association=link.association)
    except LeadglassError as error:
        status = error.dimse_status
    link.respond(
        context_id,
        CEchoRsp(
            responding_to=request.message_id,
            sop_class=request.sop_class,
            status=status,
        ),
    )
