from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from leadglass.identity.authority import Authority
from leadglass.identity.revocation import Revocations
from tests.support.tls_site import HOSTS, HandClock, Site, key_pem, self_signed


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def make_site(tmp_path: Path, clock: HandClock) -> Callable[[str], Site]:
    def make(name: str) -> Site:
        folder = tmp_path / name
        authority = Authority.create(folder / "keys", "North Clinic", HOSTS, clock)
        return Site(folder, clock, authority, Revocations(authority.crl_path, authority.ca))

    return make


@pytest.fixture
def site(make_site: Callable[[str], Site]) -> Site:
    return make_site("site")


@pytest.fixture
def foreign(clock: HandClock) -> tuple[x509.Certificate, bytes]:
    """A self-signed certificate of today, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    day = timedelta(days=1)
    return self_signed(key, clock.at - day, clock.at + 30 * day), key_pem(key)
