"""What a service may do with the association that its request came in on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from leadglass.model.caller import Peer
from leadglass.net.conversation import Conversation
from leadglass.protocol.commands import Command

Result = TypeVar("Result")


class Link(Protocol):
    """An association, seen from a service."""

    @property
    def peer(self) -> Peer:
        """Who is asking."""

    @property
    def association(self) -> str:
        """The association's name in the audit trail."""

    @property
    def conversation(self) -> Conversation:
        """For operations that the service invokes itself, as C-GET does."""

    def respond(self, context_id: int, response: Command, dataset: bytes | None = None) -> None:
        """Send a response."""

    def respond_all(self, context_id: int, responses: Sequence[tuple[Command, bytes | None]]) -> None:
        """Send several responses, each with its data set if it has one, together."""

    def respond_soon(self, context_id: int, response: Command) -> None:
        """Send a response together with what is sent next; something must be."""

    def finished(self, operation: Operation) -> None:
        """The operation has had its last response."""

    def fell_behind(self) -> None:
        """What the peer sends comes faster than it can be written: read no more for now."""

    def caught_up(self) -> None:
        """There is room again. From any thread."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run an operation's own task; it ends with the association."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run what blocks on the disk, on a thread."""


class Operation(Protocol):
    """One request under way.

    ``listens`` says whether it must hear from the peer before it ends: a C-CANCEL, or responses to
    sub-operations. While none does, the peer is not read beyond the agreed window.
    """

    listens: ClassVar[bool]

    def fragment(self, fragment: bytes | memoryview, is_last: bool) -> None:  # noqa: FBT001  the PDV's own flag
        """The next bytes of the request's data set."""

    def cancel(self) -> None:
        """The peer sent C-CANCEL. PS3.7 §9.3.2.3."""

    def abandon(self) -> None:
        """The association is gone: stop, keep nothing half done."""
