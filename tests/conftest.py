"""For all tiers: how hard hypothesis tries."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: a slow machine is no bug. In CI the same examples every time: a red run must be repeatable.
settings.register_profile("everyday", deadline=None, derandomize="CI" in os.environ)
settings.register_profile("long", deadline=None, max_examples=20_000)
settings.load_profile("everyday")
