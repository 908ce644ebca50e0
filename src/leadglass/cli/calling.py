"""What the client commands share: whom to call, as whom, over what, and how to open it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop

from leadglass.cli.output import Exit, leave, say
from leadglass.identity.clock import SystemClock
from leadglass.identity.peers import ServerName
from leadglass.identity.session import TlsSession
from leadglass.identity.tls import client_context
from leadglass.model.errors import ConfigurationInvalid, PeerError
from leadglass.model.names import AETitle, Uid, parse_ae_title
from leadglass.net.connection import Deadlines
from leadglass.net.scu import Receive, Requestor, Target
from leadglass.protocol.limits import MAX_PRESENTATION_CONTEXTS, Limits
from leadglass.protocol.negotiation import user_information
from leadglass.protocol.pdu import AssociateRequest, ProposedContext, RoleSelection
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

LITTLE_ENDIAN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
MAX_PORT = 65535

Result = TypeVar("Result")

To = Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="Whom to call.")]
Called = Annotated[str, typer.Option("--called", help="The peer's AE title.")]
Calling = Annotated[str, typer.Option("--calling", help="Our AE title.")]
Cert = Annotated[Path | None, typer.Option("--cert", help="Our certificate (PEM). Without it: plaintext.")]
Key = Annotated[Path | None, typer.Option("--key", help="The certificate's key (PEM).")]
Ca = Annotated[Path | None, typer.Option("--ca", help="The CA that the peer's certificate is from (PEM).")]
Bind = Annotated[
    str | None, typer.Option("--bind", metavar="ADDRESS", help="The local address to call from.")
]


@dataclass(frozen=True, slots=True)
class Call:
    """A peer and how to reach it, from the options of a client command."""

    target: Target
    called: AETitle
    calling: AETitle

    async def open(
        self,
        contexts: Sequence[tuple[Uid, tuple[Uid, ...]]],
        *,
        receive: Receive | None = None,
        received_classes: Sequence[Uid] = (),
    ) -> Requestor:
        """Associate, proposing these abstract syntaxes with their transfer syntaxes.

        Raises:
            TransportFailed, RemoteRefused
        """
        if len(contexts) > MAX_PRESENTATION_CONTEXTS:
            raise ConfigurationInvalid(f"more than {MAX_PRESENTATION_CONTEXTS} kinds of objects at once")
        limits = Limits()
        user = user_information(limits)
        roles = tuple(RoleSelection(uid, scu=False, scp=True) for uid in received_classes)
        request = AssociateRequest(
            called_ae=self.called,
            calling_ae=self.calling,
            contexts=tuple(
                ProposedContext(2 * number + 1, abstract, transfers)
                for number, (abstract, transfers) in enumerate(contexts)
            ),
            user=type(user)(
                user.max_pdu_bytes, user.implementation_class_uid, user.implementation_version, roles=roles
            ),
        )
        return await Requestor.open(
            self.target, request, limits=limits, deadlines=Deadlines(), receive=receive
        )


def call_from(
    to: str, called: str, calling: str, cert: Path | None, key: Path | None, ca: Path | None, bind: str | None
) -> Call:
    """Check the options; usage errors end the command with exit code 2."""
    host, port = _host_and_port(to)
    given = [path for path in (cert, key, ca) if path is not None]
    tls: Callable[[], TlsSession] | None = None
    if cert is not None and key is not None and ca is not None:
        context = client_context(cert, key, ca, SystemClock())
        tls = lambda: context.session(ServerName(host))  # noqa: E731  a name is all it needs
    elif given:
        say("error: --cert, --key and --ca go together; give all three, or none for plaintext")
        leave(Exit.USAGE)
    try:
        return Call(Target(host, port, tls, bind), parse_ae_title(called), parse_ae_title(calling))
    except PeerError as error:
        say(f"error: {error}")
        leave(Exit.USAGE)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's network part."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _host_and_port(to: str) -> tuple[str, int]:
    host, colon, port = to.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isdecimal() and 0 < int(port) <= MAX_PORT):
        say(f"error: --to takes HOST:PORT, not {to!r}")
        leave(Exit.USAGE)
    return host, int(port)
