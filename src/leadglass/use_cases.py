"""The use cases of an opened site, each given the rooms that it needs. Constructs, and nothing else.

``app`` opens a site; what a command does with it is made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from leadglass.admin.backup import BackupRooms
from leadglass.admin.desk import Desk
from leadglass.admin.trail import Trail
from leadglass.app import MIB, Home, Site, open_store
from leadglass.archive.adoption import Adopted, Adoption, adopt
from leadglass.archive.check import Checker, CheckReport
from leadglass.archive.compaction import CompactionRooms, Compactor
from leadglass.archive.deletion import Deleter, Rooms
from leadglass.archive.recover import RecoveryRooms
from leadglass.archive.repair import recount, repair
from leadglass.archive.retention import Retention
from leadglass.archive.scrub import Scrubber, ScrubPlan
from leadglass.audit.trail import AuditTrail
from leadglass.dataset.header import HeaderLimits
from leadglass.index.aging import Aging
from leadglass.index.bin import Bin
from leadglass.index.counters import Counters
from leadglass.index.damages import Damages
from leadglass.index.engine import open_engine
from leadglass.index.holds import Holds
from leadglass.index.index import Index
from leadglass.index.inventory import Held
from leadglass.index.learned import LearnedObjects
from leadglass.index.places import Places
from leadglass.model.action import Verb
from leadglass.model.names import Uid
from leadglass.model.permit import Permit
from leadglass.storage.keys import KeyProvider
from leadglass.storage.local import LocalSegmentStore

ONE_SEGMENT_BYTES = 1 << 62


def desk_of(site: Site) -> Desk:
    """Where its policy and its devices are administered."""
    return Desk(site.home.policy, site.authority, site.gate)


def checker_of(site: Site) -> Checker:
    """What compares the rooms of a site with one another."""
    return Checker(site.index, site.store, site.engine, site.home.checkpoints, site.public_key)


def repaired(site: Site, report: CheckReport) -> tuple[list[Uid], int]:
    """Set aside what a check found damaged, and count anew; the instances, and how many rows of the index."""
    if not report.repairable and not report.miscounts:
        return [], 0
    permit = site.permit(Verb.DELETE)
    aside = repair(permit, Bin(site.engine), site.committer, site.clock, report.repairable)
    if not report.miscounts:
        return aside, 0
    return aside, recount(permit, Counters(site.engine), site.committer, report.miscounts)


def deleter_of(site: Site) -> Deleter:
    """What moves to the bin, takes back and erases."""
    trail = AuditTrail(site.settings.ae[0], site.clock, site.signer, site.home.checkpoints)
    rooms = Rooms(
        Bin(site.engine),
        Holds(site.engine),
        site.store,
        compactor_of(site),
        site.committer,
        trail,
        site.clock,
    )
    return Deleter(rooms, site.settings.retention.bin_days)


def adopted(site: Site, permit: Permit, adoption: Adoption) -> Adopted:
    """Serve what was kept of a device while it was learned."""
    limits = site.settings.limits
    header = HeaderLimits(max_depth=limits.dataset_depth, max_element_bytes=limits.element_mib * MIB)
    return adopt(permit, adoption, (LearnedObjects(site.engine), site.store, site.committer), header)


def learned_objects_of(site: Site) -> LearnedObjects:
    """What is kept of those who are being learned."""
    return LearnedObjects(site.engine)


def scrubber_of(site: Site) -> Scrubber:
    """What reads everything again and again."""
    integrity = site.settings.integrity
    plan = ScrubPlan(timedelta(days=integrity.scrub_days), integrity.scrub_mib_per_s * MIB)
    return Scrubber(Damages(site.engine), site.store, site.committer, site.clock, plan)


def damages_of(site: Site) -> Damages:
    """What the scrubber has found."""
    return Damages(site.engine)


def retention_of(site: Site) -> Retention:
    """What moves to the bin by itself."""
    return Retention(site.settings.retention.rules, Aging(site.engine), deleter_of(site), site.clock)


def recovery_rooms(site: Site) -> RecoveryRooms:
    """What recovery looks at."""
    return RecoveryRooms(site.index, site.engine, site.store, site.mark)


def backup_rooms(site: Site) -> BackupRooms:
    """What a backup copies."""
    return BackupRooms(
        site.home.directory,
        site.settings.ae[0],
        site.authority.ca_fingerprint,
        site.engine,
        site.store,
        site.home.checkpoints,
    )


def compactor_of(site: Site) -> Compactor:
    """What gives back the room of what was erased."""

    def target() -> LocalSegmentStore:
        return open_store(site.home, site.settings, site.keys, site.clock, segment_bytes=ONE_SEGMENT_BYTES)

    rooms = CompactionRooms(Places(site.engine), site.store, target, site.committer, site.clock)
    return Compactor(rooms, site.settings.storage.compact_percent)


def key_list(site: Site) -> list[tuple[str, bool]]:
    """The site keys by their ids, and which is current."""
    current = site.keys.current().key_id.hex()
    return [(current, True), *((key_id.hex(), False) for key_id in site.keys.older())]


def store_reading_with(site: Site, keys: KeyProvider) -> LocalSegmentStore:
    """Another store over the site's segments, which has these keys and no others."""
    return open_store(site.home, site.settings, keys, site.clock)


def inventory_with(home: Home, permit: Permit, index_key: bytes) -> Iterator[Held]:
    """Every object that the site's index names, opened with this key.

    Raises:
        KeyUnavailable: it does not open it.
    """
    engine = open_engine(str(home.index), index_key)
    try:
        yield from Index(engine).inventory(permit)
    finally:
        engine.dispose()


def trail_of(site: Site) -> Trail:
    """A site's audit trail, for reading."""
    return Trail(site.engine, site.home.checkpoints, site.public_key)
