"""``zones explain``: where a rule stands, what would permit a refusal, and refusals that happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.app import Home, local_site
from leadglass.cli.output import Exit
from leadglass.model.action import Action, Verb
from leadglass.model.errors import NotPermitted
from leadglass.policy import load_policy
from tests.support.command_line import Leadglass
from tests.support.policies import CT1, EXAMPLE
from tests.support.site import LiveSite


@pytest.fixture
def policy(live: LiveSite) -> Path:
    path = live.home / "policy.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


def denied(live: LiveSite, verb: Verb) -> None:
    """A device asks for what it may not have."""
    text = (live.home / "policy.toml").read_text(encoding="utf-8")
    with local_site(Home(live.home)) as site:
        site.gate.replace_policy(load_policy(text, path="policy.toml", now=site.clock.now()))
        with pytest.raises(NotPermitted):
            site.gate.permit(CT1, Action(verb), association="a1")
        site.committer.flush()


def test_rule_is_named_with_the_line_it_stands_on(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    line = next(number for number, row in enumerate(EXAMPLE.splitlines(), 1) if row.startswith("acquire"))
    ended = leadglass("--home", live.home, "zones", "explain", "ct1 store archive")
    assert ended.code == Exit.OK
    assert f"flow acquire: {policy}:{line}" in ended.out
    assert "to permit" not in ended.out
    unquoted = leadglass("--home", live.home, "zones", "explain", "ct1", "store", "archive")
    assert unquoted.out == ended.out


def test_refusal_names_the_command_that_would_permit_it_and_the_tests_that_would_break(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    ended = leadglass("--home", live.home, "zones", "explain", "us1 find archive")
    assert ended.code == Exit.FINDINGS
    assert "to permit just that: zones allow us1 find archive --expires 7d" in ended.out
    assert 'which would break test "us1 find archive"' in ended.out
    as_json = leadglass("--home", live.home, "zones", "explain", "us1 find archive", "--json")
    assert as_json.json["allowed"] is False
    assert as_json.json["advice"]["command"].startswith("zones allow us1 find")


@pytest.mark.parametrize("word", ["ip=10.20.1.7", "patients=2500"])
def test_no_command_is_proposed_that_would_leave_it_refused(
    leadglass: Leadglass, live: LiveSite, policy: Path, word: str
) -> None:
    ended = leadglass("--home", live.home, "zones", "explain", f"us1 find archive {word}")
    assert ended.code == Exit.FINDINGS
    assert "to permit" not in ended.out


def test_file_that_must_be_edited_by_hand_is_explained_all_the_same(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    head, tail = EXAMPLE.split("[flows]")[0], EXAMPLE[EXAMPLE.index("[grants]") :]
    inline = 'flows = { read = { from = ["ws1"], to = "archive", can = ["get"] } }\n'
    rest = tail[: tail.index("[tests]")]
    policy.write_text(head.replace("[zones]", f"{inline}[zones]") + rest, encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "explain", "us1 find archive")
    assert ended.code == Exit.FINDINGS, ended.err
    assert "denied" in ended.out


def test_command_that_would_permit_it_whole_asks_for_identity(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    policy.write_text(EXAMPLE.replace('"move"] }', '"move"], deid = "basic" }'), encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "explain", "ws1 get archive identity=kept")
    assert "flows.read.deid lets nothing out with its identity" in ended.out
    assert "to permit just that: zones allow ws1 get archive identity=kept --expires 7d" in ended.out


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ("us1 get modality=US label=night age=30d", "us1 get archive modality=US label=night age=30d"),
        ("us1 find archive  show=StudyDate at=2026-12-24T23:00 stores=5", "us1 find archive show=StudyDate"),
        ("nurses view any from=reading mfa", "nurses view any from=reading mfa"),
    ],
)
def test_command_that_would_permit_it_permits_no_more_than_was_asked(
    leadglass: Leadglass, live: LiveSite, policy: Path, asked: str, command: str
) -> None:
    policy.write_text(EXAMPLE.replace("[flows]", 'nurses = ["role:nurse"]\n[flows]', 1), encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "explain", asked)
    assert f"to permit just that: zones allow {command} --expires 7d\n" in ended.out


def test_what_a_guard_stops_has_no_such_command(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    ended = leadglass("--home", live.home, "zones", "explain", "internet echo archive")
    assert ended.code == Exit.FINDINGS
    assert "to permit" not in ended.out


def test_refusal_that_happened_is_explained_by_its_own_ladder(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    denied(live, Verb.FIND)
    last = leadglass("--home", live.home, "zones", "explain", "--denied", "last")
    assert last.code == Exit.FINDINGS
    assert "ct1 find archive: denied, line " in last.out
    assert "from 10.20.1.5 over mtls, CT1>NORTH" in last.out
    assert "NO  verb        no flow from ct1 to the archive allows find" in last.out
    assert "to permit just that: zones allow ct1 find archive" in last.out
    (line,) = [each for each in live.audit() if each.event.kind == "operation.find"]
    by_number = leadglass("--home", live.home, "zones", "explain", "--denied", line.seq)
    assert by_number.out == last.out
    as_json = leadglass("--home", live.home, "zones", "explain", "--denied", line.seq, "--json")
    assert as_json.json["line"]["seq"] == line.seq


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), Exit.USAGE, "give a question, or --denied"),
        (("ct1 find archive", "--denied", "last"), Exit.USAGE, "give a question, or --denied"),
        (("--denied", "first"), Exit.USAGE, 'takes "last" or the number'),
        (("--denied", "last"), Exit.ERROR, "nothing was denied"),
        (("--denied", "1"), Exit.ERROR, "line 1 is no refusal"),
        (("--denied", "99999"), Exit.ERROR, "line 99999 is no refusal"),
    ],
)
def test_what_is_no_refusal_is_said(
    leadglass: Leadglass, live: LiveSite, policy: Path, arguments: tuple[str, ...], code: Exit, message: str
) -> None:
    ended = leadglass("--home", live.home, "zones", "explain", *arguments)
    assert ended.code == code
    assert message in ended.err


def test_stranger_that_was_refused_is_given_no_command(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    policy.write_text(EXAMPLE.replace("ct1  =", "ct9  =").replace("ct1 ", "ct9 "), encoding="utf-8")
    denied(live, Verb.FIND)
    ended = leadglass("--home", live.home, "zones", "explain", "--denied", "last")
    assert ended.code == Exit.FINDINGS
    assert "NO  device" in ended.out
    assert "to permit" not in ended.out
