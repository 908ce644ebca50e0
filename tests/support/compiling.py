"""The C of the tests, compiled when a test needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

NATIVE = Path(__file__).with_name("native")
STRICT = ("-O1", "-Wall", "-Wextra", "-Werror")


def cannot(reason: str) -> NoReturn:
    """This machine lacks something: the test fails in CI and skips elsewhere."""
    if "CI" in os.environ:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def compile_native(source: str, target: Path, *flags: str) -> Path:
    """Compile one file of ``native`` to ``target``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        cannot("this test needs a C compiler: apt-get install gcc libc6-dev")
    command = [compiler, *STRICT, "-o", str(target), str(NATIVE / source), *flags]
    subprocess.run(command, check=True)
    return target
