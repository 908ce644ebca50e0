from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadglass.admin.desk import Desk
from leadglass.admin.site import create_site
from leadglass.identity.authority import Authority
from tests.support.admin_desk import ADMINISTRATOR, REQUEST, HandClock, Notebook


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime(2026, 11, 22, 9, 30, tzinfo=UTC))


@pytest.fixture
def random_bytes() -> Callable[[int], bytes]:
    return random.Random(1).randbytes


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def home(tmp_path: Path, clock: HandClock, random_bytes: Callable[[int], bytes]) -> Path:
    """A fresh site."""
    return create_site(tmp_path / "site", REQUEST, ADMINISTRATOR, clock, random_bytes).home


@pytest.fixture
def desk(home: Path, clock: HandClock, notebook: Notebook) -> Desk:
    return Desk(home / "policy.toml", Authority.open(home / "keys", clock), notebook)
