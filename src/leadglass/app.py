"""The composition root: reads a site's folder, constructs every room, and nothing else does."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Engine

from leadglass.admin.occupancy import using
from leadglass.archive.apart import ApartLimits
from leadglass.archive.committer import Committer
from leadglass.archive.ingest import Ingest, IngestLimits
from leadglass.archive.jobs import Deliver, Done, StoreResult
from leadglass.archive.query import Finder
from leadglass.archive.retrieve import Retriever
from leadglass.audit.signing import Signer, open_signer
from leadglass.audit.trail import AuditTrail
from leadglass.dataset import dictionary
from leadglass.dataset.convert import ConvertLimits
from leadglass.dataset.deidentify import Pseudonyms
from leadglass.dataset.header import HeaderLimits
from leadglass.dataset.inflate import InflateLimits
from leadglass.gate import Gate
from leadglass.identity.authority import Authority
from leadglass.identity.clock import SystemClock
from leadglass.identity.derived import PSEUDONYMS, derive
from leadglass.identity.files import read_secret
from leadglass.identity.peers import DeviceIdentity
from leadglass.identity.revocation import Revocations
from leadglass.identity.session import TlsSession
from leadglass.identity.tls import archive_client_context, server_context
from leadglass.index.engine import open_engine
from leadglass.index.index import Index
from leadglass.index.migrate import migrate
from leadglass.model.action import SITE, Action, Verb
from leadglass.model.caller import LocalAdministrator, Transport
from leadglass.model.clock import Clock
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.event import AuditEvent
from leadglass.model.permit import Permit
from leadglass.net.acceptor import Hosting
from leadglass.net.connection import Deadlines
from leadglass.net.delivery import Delivery
from leadglass.net.server import DicomServer, ServerOptions
from leadglass.net.services import Services
from leadglass.net.slots import SlotLimits
from leadglass.policy import Expectation, FailedTest, check_policy, load_policy, newly_failed
from leadglass.policy.model import Device
from leadglass.policy.policy import Policy
from leadglass.protocol.limits import Limits
from leadglass.sitefile.settings import Settings, read_settings
from leadglass.sitefile.source import decode_text
from leadglass.storage.filesystem import PosixFileSystem
from leadglass.storage.health import StoreState
from leadglass.storage.keys import FileKeyProvider, KeyProvider
from leadglass.storage.local import LocalLimits, LocalSegmentStore
from leadglass.storage.mark import IndexMark

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
ONE_SEGMENT_BYTES = 1 << 62
EXECUTOR_THREADS = 8
WRITER_THREADS = 4  # of large objects; each seals and writes one object at a time


@dataclass(frozen=True, slots=True)
class Home:
    """Where the files of a site are. DESIGN §10."""

    directory: Path

    @property
    def settings(self) -> Path:
        return self.directory / "leadglass.toml"

    @property
    def policy(self) -> Path:
        return self.directory / "policy.toml"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def index(self) -> Path:
        return self.directory / "index.db"

    @property
    def checkpoints(self) -> Path:
        return self.directory / "audit.checkpoints"

    @property
    def run(self) -> Path:
        return self.directory / "run"


@dataclass(frozen=True, slots=True)
class Site:
    """An opened site: every room, constructed once."""

    home: Home
    settings: Settings
    clock: Clock
    engine: Engine
    index: Index
    keys: FileKeyProvider
    store: LocalSegmentStore
    mark: IndexMark
    trail: AuditTrail
    committer: Committer
    gate: Gate
    authority: Authority
    revocations: Revocations
    signer: Signer
    public_key: Ed25519PublicKey
    pseudonyms: Pseudonyms

    @property
    def broken(self) -> bool:
        """Whether the disk or the committer failed in a way that only a new start mends."""
        return self.committer.broken or self.store.state is not StoreState.READY

    def permit(self, verb: Verb) -> Permit:
        """Permit the local administrator something on the site; the record of it is durable.

        Raises:
            NotPermitted, AuditFailed
        """
        permit = self.gate.permit(LocalAdministrator(getpass.getuser()), Action(verb, target=SITE))
        self.committer.flush()
        return permit


def read_site_settings(home: Home) -> Settings:
    """``leadglass.toml``.

    Raises:
        ConfigurationInvalid: there is no site here, or the file is wrong.
    """
    return read_settings(_read_text(home.settings), path=str(home.settings))


def read_site_policy(home: Home, clock: Clock) -> Policy:
    """``policy.toml``, without errors and with all its tests passed: what a change must be.

    Raises:
        ConfigurationInvalid: it is missing or wrong; PolicyInvalid has every finding.
    """
    return load_policy(_read_text(home.policy), path=str(home.policy), now=clock.now())


def standing_policy(home: Home, clock: Clock) -> tuple[Policy, tuple[FailedTest, ...]]:
    """``policy.toml`` as it stands, and the tests by which it now gives less than it should.

    A policy that nobody touched must not keep the archive down because a date in it has passed: it
    only lets in fewer. One that lets in what it should not is refused, as is one with errors.

    Raises:
        ConfigurationInvalid: it is missing or wrong; PolicyInvalid has every finding.
    """
    text, now = _read_text(home.policy), clock.now()
    checked = check_policy(text, path=str(home.policy), now=now)
    too_little = all(
        test.expects is Expectation.ALLOW and test.decision is not None for test in checked.failed_tests
    )
    if checked.policy is None or not too_little:
        return load_policy(text, path=str(home.policy), now=now), ()
    return checked.policy, checked.failed_tests


def changed_policy(home: Home, clock: Clock, standing: Policy) -> tuple[Policy, tuple[FailedTest, ...]]:
    """``policy.toml`` as somebody changed it, to take the place of ``standing``; and tests that fail anyway.

    Those fail under ``standing`` too, because a date has passed: a change, a revocation say, does not
    wait until somebody has mended them.

    Raises:
        ConfigurationInvalid: it is missing or wrong; PolicyInvalid has every finding.
    """
    text, now = _read_text(home.policy), clock.now()
    checked = check_policy(text, path=str(home.policy), now=now)
    if checked.policy is None or newly_failed(checked.failed_tests, standing, now):
        return load_policy(text, path=str(home.policy), now=now), ()
    return checked.policy, checked.failed_tests


@contextmanager
def open_site(home: Home, policy: Policy, deliver: Deliver) -> Iterator[Site]:
    """Open a site and close it in order: everything recorded is durable when this returns.

    ``deliver`` takes the results of commits to whoever waits, from the committer's thread.

    Raises:
        ConfigurationInvalid, KeyUnavailable
        SiteInUse: a restore puts it in place just now.
    """
    clock = SystemClock()
    settings = read_site_settings(home)
    keys = FileKeyProvider(home.keys)
    with ExitStack() as closing:
        closing.enter_context(using(home.directory))
        index_key = read_secret(home.keys / "index.key")
        engine = open_engine(str(home.index), index_key)
        closing.callback(engine.dispose)
        migrate(engine)
        signer = open_signer(home.keys / "audit.key")
        trail = AuditTrail(settings.ae[0], clock, signer, home.checkpoints)
        store = open_store(home, settings, keys, clock)
        closing.callback(store.close)
        mark = IndexMark(home.directory / settings.storage.segments, PosixFileSystem(), clock)
        closing.callback(mark.close)
        authority = Authority.open(home.keys, clock)
        revocations = Revocations(authority.crl_path, authority.ca)
        apart = ApartLimits(settings.limits.learned_objects, settings.limits.learned_gib * GIB)
        committer = Committer(store, mark, keys, engine, trail, clock, secrets.token_bytes, deliver, apart)
        gate = Gate(policy, committer, clock)
        committer.start()
        closing.callback(committer.stop)
        closing.callback(gate.close)
        yield Site(
            home=home,
            settings=settings,
            clock=clock,
            engine=engine,
            index=Index(engine),
            keys=keys,
            store=store,
            mark=mark,
            trail=trail,
            committer=committer,
            gate=gate,
            authority=authority,
            revocations=revocations,
            signer=signer,
            public_key=signer.public_key,
            # The index key stays when the site key is rotated, and so do the pseudonyms.
            pseudonyms=Pseudonyms(derive(index_key, PSEUDONYMS)),
        )


@contextmanager
def local_site(home: Home) -> Iterator[Site]:
    """A site opened for one command. The local administrator's rights do not hang on the policy.

    Raises:
        ConfigurationInvalid, KeyUnavailable
        AuditFailed: at the end: what the command did could not be recorded.
    """

    def tell(results: Sequence[tuple[Done, StoreResult]]) -> None:
        for done, result in results:
            done(result)

    nobody = load_policy("version = 1", path="", now=SystemClock().now())
    with open_site(home, nobody, tell) as site:
        yield site
        site.committer.flush()


class _NoTrail:
    """Takes the lines of a gate where there is no site, hence no trail that they could stand in."""

    def record(self, events: Iterable[AuditEvent]) -> None:
        """As ``gate.Recorder``."""

    def note(self, events: Iterable[AuditEvent]) -> None:
        """As ``gate.Recorder``."""


def permit_without_site(verb: Verb) -> Permit:
    """Permit the local administrator something that touches no site, as the gate of any site would.

    Raises:
        NotPermitted
    """
    clock = SystemClock()
    gate = Gate(load_policy("version = 1", path="", now=clock.now()), _NoTrail(), clock)
    return gate.permit(LocalAdministrator(getpass.getuser()), Action(verb, target=SITE))


def open_store(
    home: Home, settings: Settings, keys: KeyProvider, clock: Clock, segment_bytes: int | None = None
) -> LocalSegmentStore:
    """A store over the site's segments with these keys; ``segment_bytes`` where not as the settings say."""
    return LocalSegmentStore(
        home.directory / settings.storage.segments,
        keys,
        clock,
        secrets.token_bytes,
        filesystem=PosixFileSystem(),
        limits=LocalLimits(segment_bytes=segment_bytes or settings.storage.segment_mib * MIB),
    )


def build_server(site: Site) -> tuple[DicomServer, Callable[[], None]]:
    """The DICOM server of a site, not yet listening, and what to call when it has drained."""
    dictionary.load()
    limits = site.settings.limits
    upper_layer = _upper_layer_limits(site.settings)
    deadlines = Deadlines(
        handshake_s=limits.associate_rq_s,
        associate_s=limits.associate_rq_s,
        pdu_s=limits.pdu_s,
        idle_s=limits.idle_association_s,
    )
    header = HeaderLimits(
        max_depth=limits.dataset_depth,
        max_element_bytes=limits.element_mib * MIB,
        inflate=InflateLimits(max_ratio=limits.inflate_ratio, max_bytes=limits.inflate_mib * MIB),
    )
    executor = ThreadPoolExecutor(EXECUTOR_THREADS, thread_name_prefix="archive")
    writers = ThreadPoolExecutor(WRITER_THREADS, thread_name_prefix="large")
    ae = site.settings.ae[0]
    received = IngestLimits(header, apart_bytes=limits.learned_gib * GIB)
    ingest = Ingest(site.gate, site.store, site.committer, secrets.token_bytes, received, writers)
    finder = Finder(site.gate, site.index, ae, limits.find_answers)
    retriever = Retriever(
        site.gate,
        site.index,
        site.store,
        ae,
        ConvertLimits(limits.dataset_depth, header.inflate),
        site.pseudonyms,
    )
    delivery = Delivery(ae, lambda device: _client_tls(site, device), upper_layer, deadlines)
    hosting = Hosting(
        gate=site.gate,
        services=Services(site.gate, ingest, finder, retriever, delivery),
        limits=upper_layer,
        called_aes=frozenset(site.settings.ae),
        executor=executor,
    )
    context = server_context(
        site.authority, site.revocations, lambda: _pinned(site.gate.policy), site.gate.watches
    )
    options = ServerOptions(
        limits=upper_layer,
        deadlines=deadlines,
        slots=SlotLimits(
            limits.unassociated_per_address, limits.unassociated_total, limits.unassociated_reserved_per_zone
        ),
        associations_per_device=limits.associations_per_device,
        associations_total=limits.associations_total,
        new_association=lambda: secrets.token_hex(8),
        server_tls=context.session,
    )

    def drained() -> None:
        executor.shutdown(wait=True, cancel_futures=True)
        writers.shutdown(wait=True)  # what was begun is committed or forgotten

    return DicomServer(hosting, options), drained


def _upper_layer_limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        max_associate_bytes=limits.associate_rq_kib * KIB,
        max_pdu_bytes=limits.pdu_received_kib * KIB,
        announced_pdu_bytes=limits.pdu_announced_kib * KIB,
        max_operations_invoked=limits.performed_operations_window,
    )


def _client_tls(site: Site, device: Device) -> Callable[[], TlsSession] | None:
    """Sessions that take nobody but the device; ``None`` where its zone is plaintext."""
    if site.gate.policy.zones[device.zone].transports == {Transport.PLAIN}:
        return None
    context = archive_client_context(site.authority, site.revocations)
    return lambda: context.session(DeviceIdentity(device.name, device.fingerprints))


def _pinned(policy: Policy) -> frozenset[str]:
    return frozenset(policy.lookup.by_fingerprint)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationInvalid(f"{path} is missing: 'leadglass --home DIR init' makes a site") from None
    except OSError as error:
        raise ConfigurationInvalid(f"{path} cannot be read: {error.strerror}") from error
    return decode_text(content, path=str(path))
