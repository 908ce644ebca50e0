"""Secrets derived from one: each its own, and the same tomorrow."""

from leadglass.identity.derived import DERIVED_BYTES, PSEUDONYMS, derive


def test_each_purpose_and_each_site_has_its_own_and_keeps_it() -> None:
    secret = derive(bytes(32), PSEUDONYMS)
    assert len(secret) == DERIVED_BYTES
    assert secret == derive(bytes(32), PSEUDONYMS)
    assert len({secret, derive(bytes(32), "another"), derive(bytes([1]) * 32, PSEUDONYMS), bytes(32)}) == 4


def test_what_it_gives_stays_so() -> None:
    """A change here would give every patient another pseudonym."""
    assert (
        derive(bytes(32), PSEUDONYMS).hex()
        == "e61978c1bb956a8c14b5f2508d1faf09e662d8c9a19322c5f97288fbf14fdea6"
    )
