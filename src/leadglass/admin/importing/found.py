"""What was found in another archive's configuration, whichever archive it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.names import Uid


class Outcome(StrEnum):
    """What became of one thing of the source."""

    TAKEN = "taken over"
    NARROWED = "narrowed"
    LEFT_OUT = "left out"
    ELSEWHERE = "not policy"


@dataclass(frozen=True, slots=True)
class Remark:
    """One line of the report: where it stood, what it was, what it became, and why."""

    where: str
    what: str
    outcome: Outcome
    became: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The source itself names the device as one it sends to; ``modalities`` empty is any."""

    what: str
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A machine of the source, in its own words: nothing in it is checked yet.

    ``granted`` is what the source permits by name; ``closed`` what it permitted only because nobody said
    no; ``refused`` what it refuses by name. ``store_classes`` bound a granted store; empty is any.
    """

    where: str
    what: str
    name: str
    titles: tuple[str, ...]
    host: str
    port: int | None
    transport: Transport
    granted: frozenset[Verb] = frozenset()
    closed: frozenset[Verb] = frozenset()
    refused: frozenset[Verb] = frozenset()
    store_classes: frozenset[Uid] = frozenset()
    deliveries: tuple[Delivery, ...] = ()
    inventory: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Found:
    """All that was found. ``source`` names the archive for people."""

    source: str
    devices: tuple[FoundDevice, ...]
    remarks: tuple[Remark, ...]


class SourceInvalid(ConfigurationInvalid):
    """A file of another archive cannot be read: which, in which line, and why."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")
