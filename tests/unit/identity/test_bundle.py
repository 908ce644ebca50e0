"""The recovery bundle: what goes in comes out, and nobody else gets it."""

from __future__ import annotations

import os
import random

import pytest

from leadglass.identity.bundle import MAX_BUNDLE_BYTES, open_bundle, seal_bundle
from leadglass.model.errors import ConfigurationInvalid, KeyUnavailable

FILES = {"site-00.key": bytes(range(32)), "index.key": os.urandom(32), "ca.pem": b"-----BEGIN\n"}
PASSPHRASE = b"six random words are good"


def sealed() -> bytes:
    return seal_bundle(FILES, PASSPHRASE, os.urandom, log2_n=4)


def test_what_was_sealed_opens_with_the_passphrase_alone() -> None:
    assert open_bundle(sealed(), PASSPHRASE) == FILES
    with pytest.raises(KeyUnavailable, match="passphrase is wrong"):
        open_bundle(sealed(), PASSPHRASE + b" ")


def test_nothing_of_it_can_be_read_in_the_file() -> None:
    content = sealed()
    for name, secret in FILES.items():
        assert secret not in content
        assert name.encode() not in content


def test_two_bundles_share_no_salt() -> None:
    assert sealed() != sealed()


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(ConfigurationInvalid, match="at least 12"):
        seal_bundle(FILES, b"elevenbytes", os.urandom)


def test_a_bundle_with_any_byte_changed_does_not_open() -> None:
    content = sealed()
    chance = random.Random(1)
    for position in {*range(40), *(chance.randrange(len(content)) for _ in range(200))}:
        changed = bytearray(content)
        changed[position] ^= 1 << chance.randrange(8)
        if position == 6:
            changed[position] = 5  # another cost, and not an expensive one
        with pytest.raises((KeyUnavailable, ConfigurationInvalid)):
            open_bundle(bytes(changed), PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"LGKB", b"PK\x03\x04" + bytes(100), bytes(MAX_BUNDLE_BYTES + 1)])
def test_what_is_no_bundle_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationInvalid, match="no recovery bundle"):
        open_bundle(content, PASSPHRASE)


@pytest.mark.parametrize("cost", [(31, 8, 1), (17, 255, 1), (17, 8, 255), (0, 8, 1)])
def test_a_bundle_that_asks_for_all_memory_is_refused(cost: tuple[int, int, int]) -> None:
    content = bytearray(sealed())
    content[6:9] = bytes(cost)
    with pytest.raises(ConfigurationInvalid, match="more memory"):
        open_bundle(bytes(content), PASSPHRASE)
