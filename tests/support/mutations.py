"""Break bytes as hostile and broken peers do. All randomness is the caller's."""

from __future__ import annotations

import random
from collections.abc import Callable

LENGTHS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
BYTES = (0, 1, 2, 4, 0x20, 0x5C, 0x7F, 0xFF)
MOST_CHANGES = 4
LONGEST_SLICE = 64

Mutation = Callable[[random.Random, bytearray], None]


def mutate(random_source: random.Random, content: bytes) -> bytes:
    """The bytes with one to four changes."""
    changed = bytearray(content)
    for _ in range(random_source.randint(1, MOST_CHANGES)):
        if changed:
            random_source.choice(MUTATIONS)(random_source, changed)
    return bytes(changed)


def in_pieces(random_source: random.Random, content: bytes) -> list[bytes]:
    """The same bytes as they may come over TCP: whole, halved, or in crumbs."""
    if not content:
        return []
    cuts = sorted(random_source.randrange(len(content)) for _ in range(random_source.choice((0, 0, 1, 5))))
    return [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def _flip_a_bit(random_source: random.Random, content: bytearray) -> None:
    content[random_source.randrange(len(content))] ^= 1 << random_source.randrange(8)


def _set_a_byte(random_source: random.Random, content: bytearray) -> None:
    content[random_source.randrange(len(content))] = random_source.choice(BYTES)


def _set_a_number(random_source: random.Random, content: bytearray) -> None:
    """Somewhere, a 16 or 32 bit number of either byte order: a length, if it strikes one."""
    width = random_source.choice((2, 4))
    at = random_source.randrange(len(content))
    number = random_source.choice(LENGTHS) & ((1 << 8 * width) - 1)
    content[at : at + width] = number.to_bytes(width, random_source.choice(("big", "little")))


def _cut_out(random_source: random.Random, content: bytearray) -> None:
    start, end = _slice(random_source, content)
    del content[start:end]


def _repeat(random_source: random.Random, content: bytearray) -> None:
    start, end = _slice(random_source, content)
    content[start:start] = content[start:end] * random_source.choice((1, 1, 2, 50))


def _move(random_source: random.Random, content: bytearray) -> None:
    start, end = _slice(random_source, content)
    taken = content[start:end]
    del content[start:end]
    at = random_source.randrange(len(content) + 1)
    content[at:at] = taken


def _insert_noise(random_source: random.Random, content: bytearray) -> None:
    at = random_source.randrange(len(content) + 1)
    content[at:at] = random_source.randbytes(random_source.randint(1, LONGEST_SLICE))


def _cut_off(random_source: random.Random, content: bytearray) -> None:
    del content[random_source.randrange(len(content)) :]


def _slice(random_source: random.Random, content: bytearray) -> tuple[int, int]:
    start = random_source.randrange(len(content))
    return start, min(len(content), start + random_source.randint(1, LONGEST_SLICE))


MUTATIONS: tuple[Mutation, ...] = (
    _flip_a_bit,
    _set_a_byte,
    _set_a_number,
    _set_a_number,
    _cut_out,
    _repeat,
    _move,
    _insert_noise,
    _cut_off,
)
