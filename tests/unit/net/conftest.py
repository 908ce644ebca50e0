from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadglass.identity.authority import Authority
from leadglass.identity.revocation import Revocations
from tests.support.tls_site import HOSTS, HandClock, Site


def make_site(folder: Path) -> Site:
    clock = HandClock(datetime.now(UTC).replace(microsecond=0))
    authority = Authority.create(folder / "keys", "North Clinic", HOSTS, clock)
    return Site(folder, clock, authority, Revocations(authority.crl_path, authority.ca))


@pytest.fixture
def tls_site(tmp_path: Path) -> Site:
    """A CA, to speak TLS with."""
    return make_site(tmp_path / "tls")


@pytest.fixture
def other_site(tmp_path: Path) -> Site:
    """Another clinic's CA."""
    return make_site(tmp_path / "other")
