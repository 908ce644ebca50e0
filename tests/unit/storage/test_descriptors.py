from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.storage.descriptors import DescriptorCache


class Opener:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.opened: list[str] = []

    def __call__(self, segment: str) -> int:
        path = self._directory / segment
        path.touch()
        self.opened.append(segment)
        return os.open(path, os.O_RDONLY)

    def open_now(self) -> int:
        """How many descriptors of this folder the process holds."""
        links = Path("/proc/self/fd")
        return sum(link.resolve().parent == self._directory.resolve() for link in links.iterdir())


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    return Opener(tmp_path)


@pytest.fixture
def cache(opener: Opener) -> Iterator[DescriptorCache]:
    made = DescriptorCache(opener, limit=2)
    yield made
    made.close()


def use(cache: DescriptorCache, segment: str) -> None:
    with cache.borrow(segment) as descriptor:
        os.fstat(descriptor)


def test_a_segment_is_opened_once(cache: DescriptorCache, opener: Opener) -> None:
    use(cache, "a")
    use(cache, "a")
    assert opener.opened == ["a"]


def test_the_least_recently_used_is_closed(cache: DescriptorCache, opener: Opener) -> None:
    for segment in ("a", "b", "a", "c", "a", "b"):
        use(cache, segment)
    assert opener.opened == ["a", "b", "c", "b"]
    assert opener.open_now() == 2


def test_nothing_is_closed_under_a_reader(cache: DescriptorCache, opener: Opener) -> None:
    with cache.borrow("a") as a, cache.borrow("b") as b, cache.borrow("c") as c:
        for descriptor in (a, b, c):
            os.fstat(descriptor)
        assert opener.open_now() == 3
    assert opener.open_now() == 2


def test_a_forgotten_segment_closes_when_its_reader_is_done(cache: DescriptorCache, opener: Opener) -> None:
    with cache.borrow("a") as first, cache.borrow("a"):
        cache.forget("a")
        os.fstat(first)
    assert opener.open_now() == 0
    use(cache, "b")
    cache.forget("b")
    cache.forget("never seen")
    assert opener.open_now() == 0


def test_closing_leaves_no_descriptor_behind(cache: DescriptorCache, opener: Opener) -> None:
    use(cache, "b")
    with cache.borrow("a"):
        cache.close()
        assert opener.open_now() == 1
    assert opener.open_now() == 0


def test_a_segment_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    def missing(segment: str) -> int:
        return os.open(tmp_path / segment, os.O_RDONLY)

    cache = DescriptorCache(missing, limit=2)
    with pytest.raises(FileNotFoundError):
        use(cache, "a")
    (tmp_path / "a").touch()
    use(cache, "a")
    cache.close()
