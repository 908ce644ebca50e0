"""Messages out of presentation data values, and into them. PS3.8 Annex E; PS3.7 §6.3.

Command fragments, then data set fragments if the command announces a data set, all on one context and
never mixed with another message's.
"""

from __future__ import annotations

from collections.abc import Collection

from leadglass.model.errors import LocalProtocolError, PeerProtocolError
from leadglass.protocol.codec import PDV_HEADER_BYTES, p_data_headers
from leadglass.protocol.dimse import decode_command
from leadglass.protocol.events import CommandReceived, DatasetFragment
from leadglass.protocol.pdu import Pdv


class MessageReader:
    """Puts one direction of an association back together, message by message."""

    __slots__ = ("_command", "_contexts", "_current", "_in_dataset", "_max_command_bytes")

    def __init__(self, contexts: Collection[int], max_command_bytes: int) -> None:
        self._contexts = frozenset(contexts)
        self._max_command_bytes = max_command_bytes
        self._current: int | None = None
        self._in_dataset = False
        self._command = bytearray()

    def take(self, pdv: Pdv) -> CommandReceived | DatasetFragment | None:
        """What this value completes: a command, or the next piece of a data set.

        Raises:
            PeerProtocolError: a context never accepted, a fragment out of order, a command set that is
                too large or malformed.
        """
        context_id = pdv.context_id
        if self._current is None:
            if context_id not in self._contexts:
                raise PeerProtocolError(f"a message on presentation context {context_id}, never accepted")
            self._current = context_id
        elif context_id != self._current:
            raise PeerProtocolError(f"a message of context {self._current} mixed with {context_id}")
        if pdv.is_command is self._in_dataset:
            found = "command" if pdv.is_command else "data set"
            raise PeerProtocolError(f"a {found} fragment where the other kind is due")
        if pdv.is_command:
            return self._take_command(context_id, pdv)
        if pdv.is_last:
            self._current = None
            self._in_dataset = False
        elif not pdv.fragment:
            return None
        return DatasetFragment(context_id, pdv.fragment, pdv.is_last)

    def _take_command(self, context_id: int, pdv: Pdv) -> CommandReceived | None:
        if len(self._command) + len(pdv.fragment) > self._max_command_bytes:
            raise PeerProtocolError(f"a command set of more than {self._max_command_bytes} bytes")
        self._command += pdv.fragment
        if not pdv.is_last:
            return None
        command = decode_command(self._command)
        self._command.clear()
        self._in_dataset = command.has_dataset
        if not command.has_dataset:
            self._current = None
        return CommandReceived(context_id, command)


class MessageWriter:
    """Cuts messages into P-DATA-TF PDUs, one fragment each, without copying data sets.

    ``max_pdu_bytes`` is the peer's, without header.
    """

    __slots__ = ("_contexts", "_due_on", "_max_fragment_bytes")

    def __init__(self, contexts: Collection[int], max_pdu_bytes: int) -> None:
        self._contexts = frozenset(contexts)
        self._max_fragment_bytes = (max_pdu_bytes - PDV_HEADER_BYTES) & ~1  # even, PS3.8 Annex E.1
        self._due_on: int | None = None

    def command(self, context_id: int, command: bytes, *, has_dataset: bool) -> list[bytes | memoryview]:
        """A command set's bytes to send.

        Raises:
            LocalProtocolError: a context never accepted, or a data set still unfinished.
        """
        self.need_whole_message()
        if context_id not in self._contexts:
            raise LocalProtocolError(f"presentation context {context_id} was not accepted")
        self._due_on = context_id if has_dataset else None
        return self._cut(context_id, memoryview(command), is_command=True, is_last=True)

    def dataset_fragment(
        self, context_id: int, fragment: bytes | bytearray | memoryview, *, is_last: bool
    ) -> list[bytes | memoryview]:
        """The next piece of a data set; an empty one sends nothing unless it is the last.

        Raises:
            LocalProtocolError: no data set is due on this context, or an odd piece before the last.
        """
        if self._due_on != context_id:
            raise LocalProtocolError(f"no data set is due on presentation context {context_id}")
        view = memoryview(fragment).cast("B")
        if is_last:
            self._due_on = None
        elif len(view) % 2:
            raise LocalProtocolError("a fragment of odd length before the last")
        elif not view:
            return []
        return self._cut(context_id, view, is_command=False, is_last=is_last)

    def need_whole_message(self) -> None:
        """Pass only between messages.

        Raises:
            LocalProtocolError: a data set was announced and is not finished.
        """
        if self._due_on is not None:
            raise LocalProtocolError(f"the data set on presentation context {self._due_on} is unfinished")

    def _cut(
        self, context_id: int, view: memoryview, *, is_command: bool, is_last: bool
    ) -> list[bytes | memoryview]:
        size, end = self._max_fragment_bytes, len(view)
        out: list[bytes | memoryview] = []
        for position in range(0, end or 1, size):
            piece = view[position : position + size]
            final = is_last and position + size >= end
            out.append(p_data_headers(context_id, len(piece), is_command=is_command, is_last=final))
            out.append(piece)
        return out
