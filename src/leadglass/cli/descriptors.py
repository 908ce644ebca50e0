"""How many files and connections the server may have open."""

from __future__ import annotations

import contextlib
import resource

WANTED = 65536


def allow_many_connections() -> None:
    """Raise the soft limit on descriptors; the usual 1,024 is less than a busy archive's connections.

    Never beyond the hard limit, which is the administrator's.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
