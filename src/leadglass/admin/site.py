"""``init``: a new site, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_network
from pathlib import Path

from leadglass.admin.occupancy import refuse_while_restoring
from leadglass.audit.signing import create_signer
from leadglass.audit.trail import AuditTrail
from leadglass.identity.authority import Authority
from leadglass.identity.files import SECRET_MODE, make_folder, sync_directory, write_new, write_secret
from leadglass.index.engine import open_engine
from leadglass.index.migrate import migrate
from leadglass.model.action import SITE, Verb
from leadglass.model.caller import LocalAdministrator, Transport
from leadglass.model.clock import Clock
from leadglass.model.errors import ConfigurationInvalid, SiteExists
from leadglass.model.event import AuditEvent, Outcome
from leadglass.policy import TemplateZone, load_policy, render_policy
from leadglass.sitefile import Listener, StorageSettings, read_settings, render_settings
from leadglass.storage.keys import FileKeyProvider

SETTINGS, POLICY, KEYS, INDEX = "leadglass.toml", "policy.toml", "keys", "index.db"
INDEX_KEY, AUDIT_KEY, CHECKPOINTS = "index.key", "audit.key", "audit.checkpoints"
INDEX_KEY_BYTES = 32
PRIVATE_FOLDER = 0o700

LOOPBACK = "127.0.0.0/8"
LOOPBACK_READING = "127.0.3.0/24"
LOCAL_NETWORK_BITS = 24
MODALITIES, READING = "modalities", "reading"


@dataclass(frozen=True, slots=True)
class ZoneRequest:
    """Where a zone's connections come from. Plaintext if a plaintext listener has its name."""

    name: str
    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """A site to make. ``host_names``: further names and addresses for the server's certificate."""

    name: str
    ae: tuple[str, ...]
    listeners: tuple[Listener, ...]
    zones: tuple[ZoneRequest, ...] = ()
    host_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreatedSite:
    """What was made: every path an administrator should know, and what to do next."""

    home: Path
    paths: tuple[Path, ...]
    ca_fingerprint: str
    next_commands: tuple[str, ...]


def create_site(
    home: Path,
    request: SiteRequest,
    administrator: LocalAdministrator,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> CreatedSite:
    """Make a site's folder with its keys, settings, closed policy and empty index.

    It is built beside ``home`` and renamed into place: an interruption leaves no half of it there.
    There is no gate before there is a policy, so this use case takes no permit; it is the first
    line of the site's audit trail.

    Raises:
        SiteExists: there is a site; nothing of it is touched.
        SiteInUse: a restore to it is under way.
        ConfigurationInvalid: the folder is not empty, or the request cannot be written down.
    """
    home = home.resolve()
    refuse_to_overwrite(home)
    refuse_while_restoring(home)
    make_folder(home.parent, PRIVATE_FOLDER)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{home.name}.init-", dir=home.parent))  # mode 0700
    except OSError as error:
        raise ConfigurationInvalid(f"cannot write to {home.parent}: {error.strerror}") from error
    try:
        fingerprint = _build(draft, home, request, administrator, clock, random_bytes)
        _put_in_place(draft, home)
    except BaseException:  # also an interrupt: the draft holds keys
        shutil.rmtree(draft)
        raise
    return CreatedSite(
        home=home,
        paths=tuple(home / name for name in (SETTINGS, POLICY, KEYS, f"{KEYS}/ca.pem", INDEX, "segments")),
        ca_fingerprint=fingerprint,
        next_commands=_next_commands(home, request),
    )


def default_zones(request: SiteRequest, today: date) -> tuple[TemplateZone, ...]:
    """The zones of the new policy: those asked for, and careful guesses from the listeners.

    A guess never holds a public address, and no range twice.
    """
    asked = {zone.name: zone for zone in request.zones}
    plain = [listener for listener in request.listeners if listener.transport is Transport.PLAIN]
    tls = next((one for one in request.listeners if one.transport is Transport.MTLS), None)
    plain_names = {listener.name for listener in plain}
    review = _in_a_year(today)
    zones = [
        TemplateZone(
            zone.name,
            zone.cidrs,
            Transport.PLAIN if zone.name in plain_names else Transport.MTLS,
            review if zone.name in plain_names else None,
        )
        for zone in request.zones
    ]
    if all(zone.transport is Transport.PLAIN for zone in zones):
        guesses = _tls_guesses(tls)
        zones = [*(zone for zone in guesses if zone.name not in {*asked, *plain_names}), *zones]
    free = True
    for listener in plain:
        if listener.name in asked:
            continue
        on_loopback = listener.address.host.is_loopback and listener.address.host.version == 4
        cidrs = (LOOPBACK,) if on_loopback and free else ()
        free = free and not cidrs
        zones.append(TemplateZone(listener.name, cidrs, Transport.PLAIN, review))
    return tuple(zones)


def _tls_guesses(listener: Listener | None) -> list[TemplateZone]:
    host = listener.address.host if listener else None
    modalities: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    if host is not None and host.version == 4:
        if host.is_loopback:
            modalities, reading = (LOOPBACK,), (LOOPBACK_READING,)
        elif host.is_private and not host.is_unspecified:
            modalities = (str(ip_network(f"{host}/{LOCAL_NETWORK_BITS}", strict=False)),)
    return [
        TemplateZone(MODALITIES, modalities, Transport.MTLS),
        TemplateZone(READING, reading, Transport.MTLS),
    ]


def _in_a_year(today: date) -> date:
    if (today.month, today.day) == (2, 29):
        return date(today.year + 1, 3, 1)
    return today.replace(year=today.year + 1)


def refuse_to_overwrite(home: Path) -> None:
    """Let pass only a folder that is missing or empty.

    Raises:
        SiteExists, ConfigurationInvalid
    """
    for name in (SETTINGS, POLICY, KEYS, INDEX):
        path = home / name
        if path.exists() or path.is_symlink():
            raise SiteExists(f"{path} exists: there is a site here, and it is not overwritten")
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ConfigurationInvalid(f"{home} is not an empty folder: choose another for the site")


def _build(
    draft: Path,
    home: Path,
    request: SiteRequest,
    administrator: LocalAdministrator,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> str:
    storage = StorageSettings()
    settings = render_settings(request.name, request.ae, request.listeners, storage)
    policy = render_policy(request.name, default_zones(request, clock.now().date()))
    # Read back what was written before any key is made: a bad name or range is found here.
    read_settings(settings, path=str(home / SETTINGS))
    load_policy(policy, path=str(home / POLICY), now=clock.now())
    authority = Authority.create(draft / KEYS, request.name, _hosts(request), clock)
    FileKeyProvider.create(draft / KEYS, random_bytes)
    write_secret(draft / KEYS / INDEX_KEY, index_key := random_bytes(INDEX_KEY_BYTES))
    signer = create_signer(draft / KEYS / AUDIT_KEY)
    (draft / storage.segments).mkdir(mode=PRIVATE_FOLDER)
    write_new(draft / SETTINGS, settings.encode(), SECRET_MODE)
    write_new(draft / POLICY, policy.encode(), SECRET_MODE)
    trail = AuditTrail(request.ae[0], clock, signer, draft / CHECKPOINTS)
    _begin_index(draft / INDEX, index_key, trail, administrator)
    sync_directory(draft / KEYS)
    sync_directory(draft)
    return authority.ca_fingerprint


def _begin_index(path: Path, key: bytes, trail: AuditTrail, administrator: LocalAdministrator) -> None:
    event = AuditEvent(
        kind="site.created", outcome=Outcome.DONE, who=administrator.user, verb=Verb.MANAGE, target=SITE
    )
    engine = open_engine(str(path), key)
    try:
        migrate(engine)
        with engine.begin() as connection:
            trail.append(connection, [event])
        with engine.begin() as connection:
            trail.checkpoint(connection)
    finally:
        engine.dispose()


def _put_in_place(draft: Path, home: Path) -> None:
    try:
        draft.rename(home)  # also over an empty folder, and over nothing else
    except OSError as error:
        raise SiteExists(f"{home} was filled by somebody else meanwhile: {error.strerror}") from error
    sync_directory(home.parent)


def _hosts(request: SiteRequest) -> Sequence[str]:
    bound = [
        str(listener.address.host)
        for listener in request.listeners
        if listener.transport is Transport.MTLS and not listener.address.host.is_unspecified
    ]
    return [*bound, "localhost", *request.host_names]


def _next_commands(home: Path, request: SiteRequest) -> tuple[str, ...]:
    leadglass = f"leadglass --home {home}"
    add = f"{leadglass} device add ct1 --zone {MODALITIES} --ae CT1 --makes CT,SR --out ct1/"
    named = {zone.name for zone in request.zones}
    first = add if not named or MODALITIES in named else add.replace(MODALITIES, min(named))
    return first, f"{leadglass} zones check", f"{leadglass} serve"
