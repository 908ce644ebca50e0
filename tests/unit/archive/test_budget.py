from __future__ import annotations

import pytest

from leadglass.archive.budget import ByteBudget
from leadglass.model.errors import OutOfResources


def test_it_gives_up_to_its_limit_and_takes_back() -> None:
    budget = ByteBudget(10)
    budget.take(10)
    with pytest.raises(OutOfResources):
        budget.take(1)
    assert budget.held_bytes == 10
    budget.give_back(4)
    budget.take(4)
    assert budget.held_bytes == 10
