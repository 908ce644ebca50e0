"""``zones reach --ever``: what is permitted, beside what was used."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.app import Home, local_site
from leadglass.cli.output import Exit
from leadglass.model.action import Action, Verb
from leadglass.model.event import AuditEvent, Outcome
from leadglass.policy import load_policy
from tests.support.command_line import Leadglass
from tests.support.policies import ALICE, EXAMPLE, WS1
from tests.support.site import LiveSite


@pytest.fixture
def policy(live: LiveSite) -> Path:
    path = live.home / "policy.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


def find_twice(live: LiveSite) -> None:
    with local_site(Home(live.home)) as site:
        site.gate.replace_policy(load_policy(EXAMPLE, path="policy.toml", now=site.clock.now()))
        for _ in range(2):
            site.gate.permit(WS1, Action(Verb.FIND), association="a1")
        site.committer.flush()


def test_what_nobody_used_comes_first_with_the_rule_that_gives_it(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    find_twice(live)
    ended = leadglass("--home", live.home, "zones", "reach", "--ever")
    assert ended.code == Exit.OK
    rows = [line.split("\t") for line in ended.out.splitlines()]
    line = next(number for number, row in enumerate(EXAMPLE.splitlines(), 1) if row.startswith("read "))
    assert ["ws1", "get", "archive", "never", "-", f"flow read: {policy}:{line}"] in rows
    assert rows[-1][:3] == ["ws1", "find", "archive"]
    assert rows[-1][4] == "2"
    assert rows[-1][3] != "never"
    assert "15 of 16 permissions were not used since" in ended.err
    assert "the trail goes back 0 days only, not 90" in ended.err


def test_as_json_it_has_every_permission_and_since_when(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    find_twice(live)
    found = leadglass("--home", live.home, "zones", "reach", "--ever", "--days", "30", "--json").json
    used = [each for each in found["permissions"] if each["count"]]
    assert [(each["subject"], each["verb"], each["count"]) for each in used] == [("ws1", "find", 2)]
    assert used[0]["rule"] == "flow read"
    assert {each["subject"] for each in found["permissions"]} == {"ct1", "us1", "ws1", "archive", "rads"}
    assert found["since"]


def test_each_of_two_rules_has_its_own_use_and_a_former_one_is_said(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    find_twice(live)
    renamed = EXAMPLE.replace("\nread ", "\nread-studies ")
    both = renamed.replace(
        "\n[grants]", '\nsearch = { from = ["ws1"], to = "archive", can = ["find"] }\n[grants]'
    )
    policy.write_text(both, encoding="utf-8")
    rows = [
        line.split("\t")
        for line in leadglass("--home", live.home, "zones", "reach", "--ever").out.splitlines()
        if line.startswith("ws1\tfind")
    ]
    assert len(rows) == 2
    assert all(row[3].startswith("never by this rule; 20") and row[4] == "-" for row in rows)
    assert [row[5].split(":")[0] for row in rows] == ["flow read-studies", "flow search"]


def test_rule_that_has_ended_is_no_permission(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    old = 'old = { from = ["ws1"], to = "archive", can = ["find"], expires = 2026-01-01 }'
    policy.write_text(EXAMPLE.replace("\n[grants]", f"\n{old}\n[grants]"), encoding="utf-8")
    found = leadglass("--home", live.home, "zones", "reach", "--ever", "--json").json["permissions"]
    rules = [each["rule"] for each in found if (each["subject"], each["verb"]) == ("ws1", "find")]
    assert rules == ["flow read"]


def test_move_whose_line_names_no_onward_rule_counts_for_whichever_there_is(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    moved = AuditEvent("retrieval.sent", Outcome.DONE, "ws1", verb=Verb.MOVE, target="ws1", count=500)
    with local_site(Home(live.home)) as site:
        site.gate.record(moved)
        site.committer.flush()
    found = leadglass("--home", live.home, "zones", "reach", "--ever", "--json").json
    used = [each for each in found["permissions"] if each["last"]]
    assert [(each["subject"], each["rule"], each["count"]) for each in used] == [
        ("archive", "flow deliver", 500)
    ]


def test_a_person_uses_the_grant_of_the_group(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    with local_site(Home(live.home)) as site:
        site.gate.replace_policy(load_policy(EXAMPLE, path="policy.toml", now=site.clock.now()))
        site.gate.permit(ALICE, Action(Verb.LIST))
        site.committer.flush()
    found = leadglass("--home", live.home, "zones", "reach", "--ever", "--json").json
    used = [each for each in found["permissions"] if each["count"]]
    assert [(each["subject"], each["verb"]) for each in used] == [("rads", "list")]


def test_it_shows_all_and_takes_no_part(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    ended = leadglass("--home", live.home, "zones", "reach", "--ever", "--who", "ws1")
    assert (ended.code, ended.out) == (Exit.USAGE, "")
    assert "--ever shows all" in ended.err


def test_policy_with_errors_has_no_use_to_show(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    policy.write_text(EXAMPLE.replace("[flows]", "[flow]"), encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "reach", "--ever")
    assert ended.code == Exit.ERROR
    assert 'unknown key "flow"' in ended.err
