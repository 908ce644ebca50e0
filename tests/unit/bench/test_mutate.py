"""The sample of mutants is by chance, the same for one seed; what was not tried counts as unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

from bench.mutate import picked, results, unnoticed

NAMES = [f"m{number}" for number in range(100)]


def test_same_seed_takes_the_same_sample_whatever_the_order() -> None:
    assert picked(NAMES, 10, 3) == picked(NAMES[::-1], 10, 3)
    assert picked(NAMES, 10, 3) != picked(NAMES, 10, 4)
    assert len(set(picked(NAMES, 10, 3))) == 10


def test_sample_is_at_most_all() -> None:
    assert sorted(picked(NAMES, 1000, 1)) == sorted(NAMES)


def test_killed_and_timed_out_count_as_noticed_and_the_rest_do_not(tmp_path: Path) -> None:
    path = tmp_path / "src" / "x.py.meta"
    path.parent.mkdir()
    codes = {"killed": 1, "survived": 0, "untested": 33, "untried": None, "timeout": 36}
    path.write_text(json.dumps({"exit_code_by_key": codes}), encoding="utf-8")
    found = results(tmp_path)
    assert found == codes
    assert unnoticed(list(codes), found) == ["survived", "untested", "untried"]
