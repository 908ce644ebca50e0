"""Invariants: how they are written, what they decide, and that a policy that breaks its own is refused."""

from __future__ import annotations

import pytest

from leadglass.model.storage_classes import BY_KEYWORD
from leadglass.policy import QuestionInvalid, check_policy
from leadglass.policy.invariant import parse_invariant, prove
from leadglass.policy.modalities import MODALITIES
from leadglass.policy.reach import compare
from tests.support.policies import EXAMPLE, NOW, policy

OLD = policy(EXAMPLE)
FLEET = EXAMPLE.replace("[flows]", 'fleet = ["device:us1", "device:ct1"]\n[flows]', 1)


def proved(invariant: str, text: str = EXAMPLE) -> str | None:
    """The counterexample; ``None`` where it holds. Something was looked at in any case."""
    tried = policy(text)
    verdict = prove(tried, parse_invariant(invariant, tried), NOW)
    assert verdict.examined > 0
    assert verdict.holds is (verdict.counterexample is None)
    return None if verdict.counterexample is None else str(verdict.counterexample)


@pytest.mark.parametrize(
    "invariant",
    [
        "no path from zone:remote to verb:store",
        "no path from zone:remote to target:ws1",
        "no path from zone:modalities to view",  # a browser among the modalities is in remote
        "no path from us1 to find",
        "no path from device:us1 to studies find",
        "no path from group:fleet to get",
        "no path from internet to studies",
    ],
)  # fmt: skip
def test_what_no_rule_gives_holds(invariant: str) -> None:
    assert proved(invariant, FLEET) is None


@pytest.mark.parametrize(
    "invariant", ["no  path  from any to commit ws1", "no path from oidc:radiologists to store"]
)
def test_what_can_never_be_asked_holds_in_no_cell(invariant: str) -> None:
    verdict = prove(OLD, parse_invariant(invariant, OLD), NOW)
    assert (verdict.holds, verdict.examined) == (True, 0)


@pytest.mark.parametrize(
    ("invariant", "counterexample"),
    [
        ("no path from any to find", "ws1 find archive transport=mtls"),
        ("no path from group:fleet to store", "ct1 store archive modality=CT transport=mtls"),
        ("no path from archive to night", "archive store night label=night"),
        ("no path from zone:remote to view", "rads view any from=legacy mfa"),
        ("no path from role:radiologist to verb:list studies", "rads list any from=legacy mfa"),
        (
            "no path from zone:legacy to target:archive verb:store",
            "us1 store archive modality=US transport=plain ip=10.20.9.5 stores=0",
        ),
    ],
)
def test_what_a_rule_gives_is_shown_as_a_question(invariant: str, counterexample: str) -> None:
    assert proved(invariant, FLEET) == counterexample


@pytest.mark.parametrize(
    ("invariant", "message"),
    [
        ("us1 find archive", "is no invariant"),
        ("no path from zone:remot to store", 'unknown zone "remot"; did you mean "remote"?'),
        ("no path from us2 to store", 'unknown caller "us2"; did you mean "us1"?'),
        ("no path from role:nurse to view", 'no group holds "role:nurse"'),
        ("no path from us1 to verb:stor", 'unknown verb "stor"; did you mean "store"?'),
        ("no path from us1 to stor", 'unknown verb or target "stor"; did you mean "store"?'),
        ("no path from us1 to target:store", 'unknown verb or target "store"; did you mean "store"?'),
        ("no path from us1 to nights", 'unknown verb or target "nights"; did you mean "night"?'),
        ("no path from us1 to store find", '"find" is the second of its kind'),
        ("no path from us1 to archive night", '"night" is the second of its kind'),
        ("no path from us1 to store archive now", "is no invariant"),
    ],
)
def test_what_is_not_understood_is_said(invariant: str, message: str) -> None:
    with pytest.raises(QuestionInvalid) as caught:
        parse_invariant(invariant, OLD)
    assert message in str(caught.value)


def test_policy_that_breaks_its_own_invariant_is_refused_by_its_name() -> None:
    good = EXAMPLE + '[invariants]\nno-store-from-outside = "no path from zone:remote to store"\n'
    assert check_policy(good, path="policy.toml", now=NOW).failed_tests == ()
    broken = good.replace("from zone:remote to store", "from zone:modalities to store")
    (failure,) = check_policy(broken, path="policy.toml", now=NOW).failed_tests
    assert str(failure) == (
        'invariant no-store-from-outside ("no path from zone:modalities to store"): '
        "ct1 store archive modality=CT transport=mtls is allowed"
    )
    assert (failure.place.line, failure.place.column) == (broken.count("\n"), 25)


def test_invariant_that_is_not_understood_refuses_the_policy_too() -> None:
    text = EXAMPLE + '[invariants]\nx = "no path from nobody to store"\n'
    (failure,) = check_policy(text, path="policy.toml", now=NOW).failed_tests
    assert 'unknown caller "nobody"' in str(failure)


def test_invariant_that_is_no_text_is_an_error() -> None:
    checked = check_policy("version = 1\n[invariants]\nx = 1\n", path="policy.toml", now=NOW)
    assert [str(each) for each in checked.findings] == [
        'policy.toml:3:5: error: "x" must be a string, not a number'
    ]


def test_group_of_nobody_has_no_path_anywhere() -> None:
    text = EXAMPLE.replace("[flows]", "nobody = []\n[flows]", 1)
    tried = policy(text)
    verdict = prove(tried, parse_invariant("no path from group:nobody to find", tried), NOW)
    assert (verdict.holds, verdict.examined) == (True, 0)


@pytest.mark.parametrize("never", ["8999-12-31", "9000-01-01", "9999-12-31"])
def test_last_day_at_the_end_of_the_calendar_is_no_moment_that_is_asked_about(never: str) -> None:
    text = EXAMPLE.replace("2027-01-31", never).replace("2027-03-31", never)
    text += '[invariants]\nus1-sees-nothing = "no path from us1 to find"\n'
    assert check_policy(text, path="policy.toml", now=NOW).failed_tests == ()


@pytest.mark.parametrize(
    "everything",
    [sorted(f"modality:{code}" for code in MODALITIES), sorted(f"sop_class:{name}" for name in BY_KEYWORD)],
)
def test_rule_that_names_all_there_are_leaves_one_that_nobody_has_defined(everything: list[str]) -> None:
    text = EXAMPLE.replace('only = "label:night"', f"only = {everything}")
    assert proved("no path from archive to night", text) is not None
    others = text.replace("'modality:CT', ", "").replace("'sop_class:CTImageStorage', ", "")
    difference = compare(policy(others), policy(text), NOW)
    assert len(difference.opened) == 1
    assert "CT" in str(difference.opened[0]) or "1.2.840.10008.5.1.4.1.1.2" in str(difference.opened[0])
