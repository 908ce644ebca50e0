"""Who is in a site's folder: many commands at a time, or one alone that makes a site of it.

An advisory lock on the folder itself, so that nothing is left lying about: it goes with the process, however
that ends, and stays with the folder when that is renamed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadglass.model.errors import SiteInUse


def restoring_folder(home: Path) -> Path:
    """Where a restore builds the site that is to be ``home``."""
    return home.parent / f".{home.name}.restoring"


@contextmanager
def using(home: Path) -> Iterator[None]:
    """Be one of those who use the site.

    Raises:
        SiteInUse: somebody makes it just now.
    """
    with _locked(home, fcntl.LOCK_SH, f"a restore puts a site into {home} just now: try again"):
        yield


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one in a folder.

    Raises:
        SiteInUse: another Leadglass command is in it, or has moved it away meanwhile.
    """
    with _locked(folder, fcntl.LOCK_EX, f"another leadglass command uses {folder}: wait for it, or stop it"):
        yield


def refuse_while_restoring(home: Path) -> None:
    """Let pass where no restore to ``home`` is under way; one that was broken off is none.

    Raises:
        SiteInUse
    """
    draft = restoring_folder(home)
    if draft.is_dir():
        with alone_in(draft):
            return


@contextmanager
def _locked(folder: Path, how: int, refusal: str) -> Iterator[None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SiteInUse(f"{folder} was moved away meanwhile: see what is there now") from None
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SiteInUse(refusal) from None
        if not _is_still(folder, descriptor):
            raise SiteInUse(f"{folder} was moved away meanwhile: see what is there now")
        yield
    finally:
        os.close(descriptor)


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
