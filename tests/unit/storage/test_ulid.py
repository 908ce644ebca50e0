from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from leadglass.storage.ulid import is_ulid, new_ulid

NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)


def test_a_known_ulid() -> None:
    # The example of the specification's own test: timestamp 1469918176385 ms.
    at = datetime.fromtimestamp(1469918176.385, UTC)
    assert new_ulid(at, bytes) == "01ARYZ6S41" + "0" * 16


def test_names_sort_by_time() -> None:
    names = [new_ulid(NOW + timedelta(milliseconds=step), os.urandom) for step in range(100)]
    assert names == sorted(names)
    assert all(is_ulid(name) for name in names)


@pytest.mark.parametrize("size", [0xFF, 0])
def test_all_randomness_goes_in(size: int) -> None:
    name = new_ulid(NOW, lambda count: bytes([size]) * count)
    assert name[10:] == ("Z" if size else "0") * 16


@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "8" + "0" * 25, "0" * 25 + "u", "0" * 25 + "/", "0" * 26 + "\n", "../" * 9],
)
def test_what_is_no_ulid(text: str) -> None:
    assert not is_ulid(text)
