"""``leadglass.toml``: what the server listens on, where it stores, and its limits. Strict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

from leadglass.model.caller import Transport
from leadglass.model.errors import PeerError
from leadglass.model.names import AETitle, parse_ae_title
from leadglass.sitefile.address import SocketAddress, parse_socket_address
from leadglass.sitefile.finding import FileInvalid, quoted
from leadglass.sitefile.retention import NO_RULES, RetentionSettings, read_retention
from leadglass.sitefile.source import read_source
from leadglass.sitefile.table import Notes, Table

VERSION = 1
MAX_SITE_NAME_CHARACTERS = 64
LISTENER_TRANSPORTS = (Transport.MTLS, Transport.PLAIN)


@dataclass(frozen=True, slots=True)
class Listener:
    """One address the server accepts connections on. Port 0 lets the system choose."""

    name: str
    address: SocketAddress
    transport: Transport


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where sealed segments lie (relative to the site's folder, or absolute), and their size.

    ``compact_percent``: a segment is compacted when this share of it is dead.
    """

    segments: str = "segments"
    segment_mib: int = 1024
    compact_percent: int = 50


@dataclass(frozen=True, slots=True)
class IntegritySettings:
    """How often the scrubber reads everything, 0 for never, and how much a second it may."""

    scrub_days: int = 7
    scrub_mib_per_s: int = 20


def _limit(default: int, low: int, high: int, says: str) -> int:
    """A row of the limits table; typed as what the field holds."""
    made: int = field(default=default, metadata={"low": low, "high": high, "says": says})
    return made


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a peer may cost. Each field's metadata holds its range and its meaning."""

    associate_rq_kib: int = _limit(64, 4, 1024, "size of an A-ASSOCIATE-RQ")
    associate_rq_s: int = _limit(10, 1, 600, "time for a whole A-ASSOCIATE-RQ to arrive")
    pdu_received_kib: int = _limit(1024, 16, 65536, "size of any PDU that is received")
    pdu_announced_kib: int = _limit(256, 4, 65536, "maximum PDU length that is announced to peers")
    pdu_s: int = _limit(30, 1, 3600, "time for a whole PDU to arrive")
    idle_association_s: int = _limit(600, 1, 86400, "silence on an association before it is aborted")
    unassociated_per_address: int = _limit(32, 1, 65536, "connections not yet associated, per address")
    unassociated_total: int = _limit(256, 1, 65536, "connections not yet associated, in all")
    unassociated_reserved_per_zone: int = _limit(8, 0, 4096, "of those in all, kept free for each zone")
    associations_per_device: int = _limit(
        64, 1, 65536, "associations of one device at a time; more are rejected for now"
    )
    associations_total: int = _limit(
        2048, 1, 65536, "associations in all; beyond them a device may have one, if it has none"
    )
    dataset_depth: int = _limit(100, 1, 1000, "nesting of sequences in a data set")
    element_mib: int = _limit(16, 1, 1024, "one element in memory, pixel data aside")
    inflate_ratio: int = _limit(200, 1, 10000, "inflated size of a data set, times its deflated size")
    inflate_mib: int = _limit(512, 1, 65536, "inflated size of a data set")
    find_answers: int = _limit(10000, 1, 10_000_000, "answers to one C-FIND")
    learned_objects: int = _limit(2000, 0, 10_000_000, "objects kept of each address that is being learned")
    learned_gib: int = _limit(20, 0, 1_000_000, "size of those, in GiB")
    performed_operations_window: int = _limit(16, 1, 1024, "operations of one association at a time")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of ``leadglass.toml``. ``ae`` are the archive's own AE titles, its name first."""

    name: str
    ae: tuple[AETitle, ...]
    listeners: Mapping[str, Listener]
    storage: StorageSettings = StorageSettings()
    limits: Limits = Limits()
    retention: RetentionSettings = NO_RULES
    integrity: IntegritySettings = IntegritySettings()


def read_settings(text: str, *, path: str) -> Settings:
    """Read the content of ``leadglass.toml``; ``path`` is how messages call the file.

    Raises:
        FileInvalid: with every finding. It is a ConfigurationInvalid.
    """
    notes = Notes(read_source(text, path=path))
    root = Table.root(notes)
    read_version(root, VERSION)
    name = _name(root)
    titles = _ae_titles(root)
    listeners = _listeners(root.table("listeners"))
    storage = _storage(root.table("storage"))
    limits = _limits(root.table("limits"))
    retention = read_retention(root.table("retention"))
    integrity = _integrity(root.table("integrity"))
    root.refuse_others()
    if notes.errors:
        raise FileInvalid(notes.findings)
    return Settings(name, titles, listeners, storage, limits, retention, integrity)


def read_version(root: Table, known: int) -> None:
    """Note an error unless the file says it is of the ``known`` version of its language."""
    root.require("version", f"add version = {known} at the top")
    version = root.whole("version", 0, 1 << 31)
    if version not in (None, known):
        root.notes.error(root.place_of("version"), f"unknown version {version}", f"this one reads {known}")


def _name(root: Table) -> str:
    root.require("name", 'give the site a name: name = "North Clinic"')
    name = root.text("name")
    if name is None:
        return ""
    if not 1 <= len(name.strip()) <= MAX_SITE_NAME_CHARACTERS:
        root.notes.error(
            root.place_of("name"), f'"name" must have 1 to {MAX_SITE_NAME_CHARACTERS} characters'
        )
    return name


def _ae_titles(root: Table) -> tuple[AETitle, ...]:
    root.require("ae", 'say what the archive answers to: ae = ["NORTH"]')
    words = root.words("ae")
    if words == ():
        root.notes.error(root.place_of("ae"), "the archive has no AE title", "name at least one")
    titles = []
    for number, word in enumerate(words or ()):
        try:
            titles.append(parse_ae_title(word))
        except PeerError as error:
            root.notes.error(root.place_of("ae", number), f"{quoted(word)}: {error}")
    return tuple(titles)


def _listeners(table: Table) -> Mapping[str, Listener]:
    read: dict[str, Listener] = {}
    for name, inner in table.tables():
        listener = _listener(name, inner)
        inner.refuse_others()
        if listener is None:
            continue
        rival = next((other for other in read.values() if _collide(other.address, listener.address)), None)
        if rival is not None:
            inner.notes.error(
                inner.place_of("address"),
                f"listener {quoted(name)} takes the address of {quoted(rival.name)}",
                "give each listener its own port",
            )
        read[name] = listener
    return MappingProxyType(read)


def _listener(name: str, table: Table) -> Listener | None:
    table.require("address", 'like address = "127.0.0.1:2762"')
    table.require("transport", 'transport = "mtls", or "plain"')
    address = read_socket_address(table, "address")
    word = table.text("transport")
    if word is None or not table.one_of("transport", word, LISTENER_TRANSPORTS) or address is None:
        return None
    return Listener(name, address, Transport(word))


def read_socket_address(table: Table, key: str) -> SocketAddress | None:
    """An address and port, or ``None`` when it is absent or was noted as wrong."""
    text = table.text(key)
    if text is None:
        return None
    try:
        return parse_socket_address(text)
    except ValueError as error:
        table.notes.error(
            table.place_of(key),
            f"{quoted(text)}: {error}",
            'write "10.20.3.11:11112" or "[2001:db8::1]:11112"',
        )
        return None


def _collide(one: SocketAddress, other: SocketAddress) -> bool:
    if one.port != other.port or one.port == 0 or one.host.version != other.host.version:
        return False
    return one.host == other.host or one.host.is_unspecified or other.host.is_unspecified


def _storage(table: Table) -> StorageSettings:
    default = StorageSettings()
    segments = table.text("segments")
    if segments is not None and not segments.strip():
        table.notes.error(table.place_of("segments"), '"segments" must name a folder')
    segment_mib = table.whole("segment_mib", 1, 1 << 20)
    compact_percent = table.whole("compact_percent", 1, 100)
    table.refuse_others()
    return StorageSettings(
        segments or default.segments,
        segment_mib or default.segment_mib,
        compact_percent or default.compact_percent,
    )


def _integrity(table: Table) -> IntegritySettings:
    default = IntegritySettings()
    days = table.whole("scrub_days", 0, 365)
    mib_per_s = table.whole("scrub_mib_per_s", 1, 10_000)
    table.refuse_others()
    return IntegritySettings(
        default.scrub_days if days is None else days,
        default.scrub_mib_per_s if mib_per_s is None else mib_per_s,
    )


def _limits(table: Table) -> Limits:
    read: dict[str, int] = {}
    for row in fields(Limits):
        value = table.whole(row.name, row.metadata["low"], row.metadata["high"])
        if value is not None:
            read[row.name] = value
    table.refuse_others()
    limits = Limits(**read)
    if limits.pdu_announced_kib > limits.pdu_received_kib:
        table.notes.error(
            table.place_of("pdu_announced_kib"),
            "announces longer PDUs than it receives",
            "pdu_announced_kib must not be above pdu_received_kib",
        )
    return limits
