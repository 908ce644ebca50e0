from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import resource
from leadglass.cli.descriptors import WANTED, allow_many_connections
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
allow_many_connections()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], min(WANTED, hard))
"""


def test_the_soft_limit_is_raised_and_never_beyond_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    soft, expected = map(int, done.stdout.split())
    assert soft == expected
