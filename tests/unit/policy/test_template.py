from __future__ import annotations

from datetime import date

from leadglass.model.caller import Transport
from leadglass.policy import TemplateZone, check_policy, explain, parse_question, render_policy
from tests.support.policies import NOW

ZONES = (
    TemplateZone("modalities", ("10.1.0.0/16",), Transport.MTLS, comment="scanners"),
    TemplateZone("reading", (), Transport.MTLS),
    TemplateZone("legacy", ("10.9.0.0/28",), Transport.PLAIN, date(2027, 3, 1), "old\nscanners"),
    TemplateZone("spare", ("10.8.0.0/28",), Transport.MTLS),
)


def test_fresh_policy_finds_nothing_but_its_unfilled_zone_and_its_tests_pass() -> None:
    checked = check_policy(render_policy("North\nversion = 2", ZONES), path="policy.toml", now=NOW)
    assert checked.policy is not None
    assert [each.message for each in checked.findings] == [
        '"cidr" is empty, so nobody comes from zone reading'
    ]
    assert checked.failed_tests == ()


def test_fresh_policy_permits_nobody_and_a_device_added_to_it_what_its_zone_may() -> None:
    text = render_policy("North", ZONES)
    fresh = check_policy(text, path="policy.toml", now=NOW).policy
    assert fresh is not None
    assert not fresh.lookup.incoming
    assert not fresh.lookup.outgoing
    added = text.replace("# ct1 =", "ct1 =")
    policy = check_policy(added, path="policy.toml", now=NOW).policy
    assert policy is not None
    assert explain(policy, parse_question("ct1 store archive"), NOW).allowed
    assert not explain(policy, parse_question("ct1 find archive"), NOW).allowed
    assert set(policy.flows) == {"acquire", "read", "old-legacy"}


def test_every_commented_example_is_true_to_the_language() -> None:
    text = render_policy("North", ZONES)
    for example in ("ct1", "rads", "home"):
        text = text.replace(f"# {example} =", f"{example} =")
    checked = check_policy(text, path="policy.toml", now=NOW)
    assert checked.policy is not None
    assert set(checked.policy.grants) == {"home"}


def test_zone_without_a_range_is_said_to_hold_nobody() -> None:
    assert "# nobody yet" in render_policy("North", ZONES)
