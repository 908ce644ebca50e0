"""Abuse while a scanner works: from other hosts, of every kind at once, and it stores all the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import pytest

from tests.support.abuse_rig import WARM_UP, AbuseFound, AbusePlan, measure_abuse

IN_FULL = "LEADGLASS_ABUSE" in os.environ  # ``make abuse``
OBJECTS = 200
SHORT = AbusePlan(idle=100, dripping=100, half_open=50, aborts_per_s=30, objects=OBJECTS, every_s=0.02)
FULL = AbusePlan(idle=1000, dripping=1000, half_open=200, aborts_per_s=100, objects=OBJECTS, every_s=0.1)
PLAN = FULL if IN_FULL else SHORT
BACK_S = 30.0
MEMORY_KIB = 24 * 1024
IDLE_KIB = 64  # of one idle association with TLS
SLOWER = 2.0


def percentile(times_ms: Sequence[float], share: float) -> float:
    return sorted(times_ms)[ceil(share * len(times_ms)) - 1]


def tell(found: AbuseFound) -> float:
    """Print what it cost the scanner; the ratio of its p99."""
    p99 = []
    for name, scan in (("undisturbed", found.undisturbed), ("disturbed", found.disturbed)):
        p50, most = (percentile(scan["storing_ms"], share) for share in (0.5, 0.99))
        opening = percentile(scan["opening_ms"], 0.99)
        print(
            f"\n{name}: store p50 {p50:.1f} ms, p99 {most:.1f} ms; slowest opening {opening:.1f} ms", end=""
        )
        p99.append(most)
    ratio = p99[1] / p99[0]
    before, most_kib, after = found.memory_kib[0], max(found.memory_kib), found.memory_kib[-1]
    print(f"\np99 {ratio:.2f} times the undisturbed; abuse {found.abuse}")
    print(f"memory {before} KiB, {found.idle_kib / PLAN.idle:.0f} KiB an idle association; ", end="")
    print(f"at most {most_kib} KiB, at the end {after} KiB")
    print(f"slots back in {found.slots_back_s:.1f} s, associations in {found.associations_back_s:.1f} s")
    return ratio


@pytest.mark.timeout(600)
def test_a_scanner_stores_everything_while_others_idle_drip_half_open_and_abort(tmp_path: Path) -> None:
    found = measure_abuse(tmp_path, PLAN, timeout_s=560)
    ratio = tell(found)
    assert found.undisturbed["stored"] == found.disturbed["stored"] == OBJECTS
    assert found.instances == 2 * OBJECTS + WARM_UP + 1
    assert found.abuse["idle"] == {"idle": PLAN.idle, "refused": 0}
    assert found.abuse["abort"]["done"] > PLAN.aborts_per_s
    assert max(found.memory_kib) - found.memory_kib[0] < MEMORY_KIB + PLAN.idle * IDLE_KIB
    assert found.slots_back_s < BACK_S
    assert found.associations_back_s < BACK_S
    assert found.admitted == {"drip": True, "half open": True, "idle": True}
    if IN_FULL:
        assert ratio <= SLOWER
