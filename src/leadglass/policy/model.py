"""A policy as values: zones, devices, groups, flows, grants, tests. All frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.names import AETitle
from leadglass.policy.conditions.assigned import Assigned
from leadglass.policy.conditions.deid import Deid
from leadglass.policy.conditions.expires import Expires
from leadglass.policy.conditions.hours import Hours
from leadglass.policy.conditions.label import Label
from leadglass.policy.conditions.modality import Modality
from leadglass.policy.conditions.need import NeedApproval, NeedMfa, NeedReason
from leadglass.policy.conditions.newer_than import NewerThan
from leadglass.policy.conditions.older_than import OlderThan
from leadglass.policy.conditions.own import Own
from leadglass.policy.conditions.per_hour import HARVEST, PerHour
from leadglass.policy.conditions.review_by import ReviewBy
from leadglass.policy.conditions.show import Show
from leadglass.policy.conditions.sop_class import SopClass
from leadglass.policy.conditions.study import Study
from leadglass.policy.conditions.weekdays import Weekdays
from leadglass.policy.network import Address, Network, is_public
from leadglass.sitefile import Place, SocketAddress

VERSION = 1
ANY = "any"
INTERNET = "internet"
ZONE_PREFIX = "zone:"
GROUP_PREFIX = "group:"
LEARNING_PREFIX = "learning:"
REMOTE = "remote"
Bound = Expires | ReviewBy | Hours | Weekdays
"""What bounds a rule in time."""
Age = NewerThan | OlderThan
OfObjects = Label | Modality | SopClass | Own | Study | Assigned | NewerThan | OlderThan
"""What bounds the objects of a rule."""
Need = NeedMfa | NeedReason | NeedApproval

OUTGOING_VERBS = frozenset({Verb.ECHO, Verb.STORE})  # what the archive itself does to others


@dataclass(frozen=True, slots=True)
class Zone:
    """Where a connection may come from, and over which transports."""

    name: str
    networks: tuple[Network, ...]
    transports: frozenset[Transport]
    review: ReviewBy | None = None
    note: str = ""

    @property
    def is_public(self) -> bool:
        """Whether the internet reaches part of it."""
        return any(is_public(network) for network in self.networks)

    @property
    def takes_no_dicom(self) -> bool:
        """Whether browsers alone come from it: a device speaks DICOM, over mtls or plain."""
        return self.transports == {Transport.HTTPS}

    @property
    def is_remote(self) -> bool:
        """Whether a person in it is away: it holds public addresses, or is named ``remote``."""
        return self.name == REMOTE or self.is_public


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the owner wants to remember of a device. Decides nothing."""

    owner: str = ""
    location: str = ""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    software: str = ""
    note: str = ""
    end_of_support: date | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A machine. ``ip`` pins a plaintext device; ``address`` is where the archive sends to.

    ``makes`` limits what it may store; ``None`` is any. ``fingerprints`` are SHA-256 of foreign
    certificates, lower-case hex. ``revoked``, whatever its date, shuts the device out at once.
    ``site`` stands in for a missing issuer of patient id.
    """

    name: str
    zone: str
    ae: tuple[AETitle, ...]
    makes: Modality | None = None
    ip: Address | None = None
    address: SocketAddress | None = None
    fingerprints: frozenset[str] = frozenset()
    site: str = ""
    revoked: date | None = None
    inventory: Inventory = Inventory()


@dataclass(frozen=True, slots=True)
class Learning:
    """One address whose machine is watched before it has a rule: whoever calls from there is kept apart.

    ``ip`` is ``None`` only in a policy with errors.
    """

    name: str
    zone: str
    ip: Address | None
    until: Expires

    @property
    def subject(self) -> str:
        """What questions and audit lines call it: not the device that it may become."""
        return LEARNING_PREFIX + self.name

    @property
    def rule(self) -> str:
        """What audit lines call its line of the policy."""
        return f"learning {self.name}"


class Direction(Enum):
    """A flow joins the archive to devices, one way."""

    TO_ARCHIVE = "to the archive"
    FROM_ARCHIVE = "from the archive"

    @property
    def far_key(self) -> str:
        """The key of a flow that names its devices."""
        return "from" if self is Direction.TO_ARCHIVE else "to"


@dataclass(frozen=True, slots=True)
class Flow:
    """A rule for machines.

    ``parties`` are the far side: names of devices, and ``zone:`` and ``group:`` names.
    ``term`` bounds the rule in time, ``only`` its objects, ``budget`` the rate of its stores, ``harvest``
    that of its reading, ``show`` what an answer to a query may hold. With ``deid`` nothing that it lets out
    has an identity.
    """

    name: str
    direction: Direction
    parties: tuple[str, ...]
    can: frozenset[Verb]
    only: tuple[OfObjects, ...] = ()
    term: tuple[Bound, ...] = ()
    budget: PerHour | None = None
    harvest: PerHour = HARVEST
    show: Show | None = None
    deid: Deid | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A rule for people: who (groups), from where (zones), what (verbs), needing what.

    ``only``, ``term``, ``harvest`` and ``show`` as in a flow.
    """

    name: str
    groups: frozenset[str]
    zones: frozenset[str]
    can: frozenset[Verb]
    only: tuple[OfObjects, ...] = ()
    need: tuple[Need, ...] = ()
    term: tuple[Bound, ...] = ()
    harvest: PerHour = HARVEST
    show: Show | None = None
    note: str = ""


class Expectation(Enum):
    """What a test of the policy expects."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class StatedInvariant:
    """One line of ``[invariants]``: a name, and what must hold, in words."""

    name: str
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One line of ``[tests]``: a question and its expected answer."""

    text: str
    expects: Expectation
    place: Place
