"""The recovery bundle: everything that opens the archive, and a drill that proves it does."""

from __future__ import annotations

import hashlib
import random
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from leadglass.admin.desk import Recorder, record, require
from leadglass.identity.bundle import MAX_BUNDLE_BYTES, open_bundle, seal_bundle
from leadglass.identity.files import SECRET_MODE, read_file, read_secret, replace_file
from leadglass.index.inventory import Held
from leadglass.model.action import SITE, Verb
from leadglass.model.errors import ConfigurationInvalid, IntegrityBroken, KeyUnavailable
from leadglass.model.event import Outcome
from leadglass.model.permit import Permit
from leadglass.storage.keys import MemoryKeyProvider, SiteKey
from leadglass.storage.store import SegmentStore

INDEX_KEY = "index.key"
SAMPLE = 200

Inventory = Callable[[bytes], Iterator[Held]]
"""Opens the index with this key, reading only, and yields every object it names."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill read. ``failures`` names objects that the bundle does not open, the first hundred."""

    site_keys: int
    objects: int
    read: int
    failed: int
    failures: tuple[str, ...]

    @property
    def opens(self) -> bool:
        """Whether the bundle opens this archive."""
        return self.failed == 0


def export_bundle(
    permit: Permit,
    keys: Path,
    out: Path,
    passphrase: bytes,
    recorder: Recorder,
    random_bytes: Callable[[int], bytes],
) -> int:
    """Seal all of ``keys/`` into ``out``, 0600, which must not exist; how many files.

    Raises:
        NotPermitted: ``permit`` is not for KEYS.
        ConfigurationInvalid: a key is not private, the passphrase is too short, or ``out`` exists.
    """
    require(permit, Verb.KEYS)
    if out.exists() or out.is_symlink():
        raise ConfigurationInvalid(f"{out} exists, and is not overwritten")
    files = {path.name: _read(path) for path in sorted(keys.iterdir()) if _is_kept(path)}
    sealed = seal_bundle(files, passphrase, random_bytes)
    if len(sealed) > MAX_BUNDLE_BYTES:
        raise ConfigurationInvalid(f"{keys} holds more than a recovery bundle takes")
    try:
        replace_file(out, sealed, SECRET_MODE)
    except OSError as error:
        raise ConfigurationInvalid(f"cannot write {out}: {error.strerror}") from error
    record(recorder, permit, "keys.exported", SITE, f"{len(files)} files to a bundle")
    return len(files)


def drill(
    permit: Permit,
    bundle: Path,
    passphrase: bytes,
    inventory: Inventory,
    store_with: Callable[[MemoryKeyProvider], SegmentStore],
    recorder: Recorder,
    chance: random.Random,
) -> Drilled:
    """Open the archive with nothing but the bundle: its index, and a sample of its objects, byte by byte.

    Of each segment the first object and some others are read.

    Raises:
        NotPermitted: ``permit`` is not for KEYS.
        KeyUnavailable: the passphrase is wrong, or the bundle's index key does not open the index.
        ConfigurationInvalid: it is no bundle.
    """
    require(permit, Verb.KEYS)
    files = open_bundle(read_file(bundle, MAX_BUNDLE_BYTES), passphrase)
    index_key = files.get(INDEX_KEY)
    if index_key is None:
        raise ConfigurationInvalid(f"the bundle holds no {INDEX_KEY}")
    site_keys = site_keys_in(files)
    store = store_with(MemoryKeyProvider(site_keys))
    objects, chosen = _sampled(inventory(index_key), chance)
    failures: list[str] = []
    failed = 0
    try:
        for held in chosen:
            problem = _problem(permit, store, held)
            if problem:
                failed += 1
                failures += [f"{held.stored.sop_instance}: {problem}"][: 100 - len(failures)]
    finally:
        store.close()
    result = Drilled(len(site_keys), objects, len(chosen), failed, tuple(failures))
    reason = f"{result.read} of {result.objects} objects read, {failed} not"
    record(recorder, permit, "keys.drilled", SITE, reason, Outcome.DONE if result.opens else Outcome.ALERT)
    return result


def _sampled(every: Iterator[Held], chance: random.Random) -> tuple[int, list[Held]]:
    """How many there are, and the first of each segment with some others, evenly likely."""
    objects = 0
    firsts: dict[str, Held] = {}
    others: list[Held] = []
    for held in every:
        objects += 1
        segment = held.stored.location.segment
        if segment not in firsts:
            firsts[segment] = held
        elif len(others) < SAMPLE:
            others.append(held)
        elif (place := chance.randrange(objects)) < SAMPLE:
            others[place] = held
    return objects, [*firsts.values(), *others]


def _problem(permit: Permit, store: SegmentStore, held: Held) -> str:
    stored = held.stored
    digest = hashlib.sha256()
    try:
        for chunk in store.open(permit, stored.location, stored.object_id).chunks():
            digest.update(chunk)
    except (IntegrityBroken, KeyUnavailable) as error:
        return str(error)
    return "" if digest.digest() == stored.sha256 else "its bytes are not those that were received"


def site_keys_in(files: Mapping[str, bytes]) -> list[SiteKey]:
    """The site keys among the files of ``keys/``, by their names in it."""
    return [
        SiteKey.from_secret(content)
        for name, content in files.items()
        if name.startswith("site-") and name.endswith(".key") and len(content) == 32
    ]


def _is_kept(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode) and not path.name.startswith(".")


def _read(path: Path) -> bytes:
    """Keys must be private; certificates and lists need not be."""
    return read_secret(path) if path.suffix == ".key" else read_file(path)
