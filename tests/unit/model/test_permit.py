"""A permit comes from the gate, and from nowhere else."""

from __future__ import annotations

import pytest

from leadglass.model.action import SITE, Action, Verb
from leadglass.model.caller import LocalAdministrator
from leadglass.model.permit import EVERYTHING, Keeping, Permit, Release, issue_permit

CALLER = LocalAdministrator("root")
ACTION = Action(Verb.STATUS, target=SITE)


def test_a_permit_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError, match="gate"):
        Permit(CALLER, ACTION, EVERYTHING, "root", "none", "", "", Keeping.SERVED, Release.WHOLE, object())


def test_an_issued_permit_says_who_may_do_what_by_which_rule() -> None:
    permit = issue_permit(CALLER, ACTION, EVERYTHING, who="root", rule="local administrator")
    assert (permit.caller, permit.action, permit.scope) == (CALLER, ACTION, EVERYTHING)
    assert (permit.who, permit.rule, permit.zone, permit.site) == ("root", "local administrator", "", "")
    assert permit.keeping is Keeping.SERVED
    assert "seal" not in repr(permit)
