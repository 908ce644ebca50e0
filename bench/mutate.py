"""Try a random sample of the small changes that mutmut makes of the policy's code, one worker at a time.

`make mutate ARGS="--sample 400 --seed 2"`; without arguments `make mutate` tries them all. The same seed
takes the same sample of the same code.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FIRST = "leadglass.policy.decide.*"
"""A few, to have all of them written: mutmut lists none before."""
SURVIVED, UNTESTED = 0, 33
"""mutmut's codes of a mutant that no test noticed, and of one that no test runs."""


def results(folder: Path) -> dict[str, int | None]:
    """Each mutant that is written with mutmut's code, ``None`` where it was not tried yet."""
    found: dict[str, int | None] = {}
    for path in sorted(folder.rglob("*.py.meta")):
        found.update(json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"])
    return found


def picked(names: Sequence[str], count: int, seed: int) -> list[str]:
    """So many by chance, all where there are fewer; the order of ``names`` plays no part."""
    return random.Random(seed).sample(sorted(names), min(count, len(names)))


def unnoticed(names: Sequence[str], codes: dict[str, int | None]) -> list[str]:
    """Those that no test noticed, or that were not tried to the end."""
    return sorted(name for name in names if codes.get(name) in (None, SURVIVED, UNTESTED))


def run(mutmut: Path, names: Sequence[str]) -> None:
    """Try them, one after the other."""
    subprocess.run([mutmut, "run", "--max-children", "1", *names], check=True)


def main() -> None:
    """Try a sample, and say which went unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, required=True, metavar="N", help="so many mutants")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed takes others")
    asked = parser.parse_args()
    mutmut = Path(sys.executable).with_name("mutmut")
    folder = Path("mutants")
    run(mutmut, [FIRST])
    names = picked(list(results(folder)), asked.sample, asked.seed)
    run(mutmut, names)
    codes = results(folder)
    left = unnoticed(names, codes)
    noticed = len(names) - len(left)
    print(f"{noticed} of {len(names)} of {len(codes)} were noticed ({noticed / len(names):.1%})")
    for name in left:
        print(f"  {name}: {codes[name]}")


if __name__ == "__main__":
    main()
