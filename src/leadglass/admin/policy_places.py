"""Where the rules that a decision names stand."""

from __future__ import annotations

from pathlib import Path

from leadglass.sitefile import read_source

RULE_TABLES = {"flow": "flows", "grant": "grants", "learning": "learning"}


def places_of(text: str, path: Path, rules: str) -> tuple[str, ...]:
    """``flow read: policy.toml:12`` of each rule; ``rules`` as the trail writes them, with commas."""
    source = read_source(text, path=str(path))
    found = []
    for rule in filter(None, rules.split(", ")):
        kind, _, name = rule.partition(" ")
        table = RULE_TABLES.get(kind)
        if table is not None:
            found.append(f"{rule}: {path}:{source.key_place((table, name)).line}")
    return tuple(found)
