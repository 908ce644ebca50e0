"""Many executions in this process: each with a seed of its own, none slow, and none that eats memory."""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

SEED = int(os.environ.get("LEADGLASS_FUZZ_SEED", "1"))
SLOWEST_S = 1.0
WARM_UP = 500
MEMORY_KIB = 64 * 1024

Execution = Callable[[random.Random], bytes]
"""Does one case; the bytes that it used, for whoever reads of a failure."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How it went. ``slowest_s`` is processor time: a busy machine is no finding."""

    executions: int
    slowest_s: float
    grown_kib: int


def run_many(execution: Execution, count: int) -> Ran:
    """Run cases 0 to ``count``. What an execution raises, its case number tells how to raise again.

    Raises:
        AssertionError: one was slow, or memory grew.
    """
    slowest_s, before_kib = 0.0, 0
    for number in range(count):
        if number == min(WARM_UP, count - 1):
            before_kib = _peak_kib()
        start_s = time.process_time()
        try:
            content = execution(random.Random(f"{SEED} {number}"))
        except Exception as error:
            error.add_note(f"LEADGLASS_FUZZ_SEED={SEED}, case {number}")
            raise
        took_s = time.process_time() - start_s
        assert took_s < SLOWEST_S, f"seed {SEED}, case {number}: {took_s:.2f} s for {content[:2000].hex()}"
        slowest_s = max(slowest_s, took_s)
    grown_kib = _peak_kib() - before_kib
    assert grown_kib < MEMORY_KIB, f"{grown_kib} KiB more at the peak"
    return Ran(count, slowest_s, grown_kib)


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
