"""``zones apply`` and ``zones rollback``: what they show, ask, refuse, keep and record."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from leadglass.cli.output import Exit
from tests.support.command_line import Leadglass, at_a_terminal
from tests.support.policies import EXAMPLE
from tests.support.site import LiveSite

WIDER = EXAMPLE.replace('makes = ["US"]', 'makes = ["US", "CR"]')


@pytest.fixture
def policy(live: LiveSite) -> Path:
    path = live.home / "policy.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    path = tmp_path / "draft.toml"
    path.write_text(WIDER, encoding="utf-8")
    return path


def answers(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> list[str]:
    """A person at the terminal; what they were asked."""
    asked: list[str] = []

    def confirm(text: str, **_options: object) -> bool:
        asked.append(text)
        return yes

    at_a_terminal(monkeypatch)
    monkeypatch.setattr(typer, "confirm", confirm)
    return asked


def lines(live: LiveSite) -> list[str]:
    return [line.event.reason for line in live.audit() if line.event.kind == "policy.applied"]


def test_policy_is_put_in_place_after_its_difference_was_shown_and_the_question_answered(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, yes=True)
    ended = leadglass("--home", live.home, "zones", "apply", draft, "--reason", "a CR was bought")
    assert ended.code == Exit.OK
    assert asked == ["Put it in force?"]
    assert "+ us1 store archive modality=CR" in ended.out
    assert policy.read_text(encoding="utf-8") == WIDER
    assert policy.with_name("policy.toml.1").read_text(encoding="utf-8") == EXAMPLE
    (line,) = lines(live)
    assert line.startswith("1 opened, 0 closed, sha256 ")
    assert line.endswith("; a CR was bought")


def test_nothing_is_changed_for_who_says_no_or_only_looks(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, yes=False)
    assert leadglass("--home", live.home, "zones", "apply", draft).code != Exit.OK
    looked = leadglass("--home", live.home, "zones", "apply", draft, "--dry-run", "--json")
    assert looked.code == Exit.OK
    assert looked.json["applied"] is False
    assert [each["subject"] for each in looked.json["difference"]["opened"]] == ["us1"]
    assert policy.read_text(encoding="utf-8") == EXAMPLE
    assert lines(live) == []


def test_rollback_puts_the_former_policy_back_and_twice_is_where_one_was(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path
) -> None:
    assert leadglass("--home", live.home, "zones", "apply", draft, "--yes").code == Exit.OK
    back = leadglass("--home", live.home, "zones", "rollback", "--yes")
    assert back.code == Exit.OK
    assert "- us1 store archive modality=CR" in back.out
    assert policy.read_text(encoding="utf-8") == EXAMPLE
    assert leadglass("--home", live.home, "zones", "rollback", "--yes").code == Exit.OK
    assert policy.read_text(encoding="utf-8") == WIDER
    assert len(lines(live)) == 3


def test_rollback_without_a_former_policy_says_so(leadglass: Leadglass, live: LiveSite) -> None:
    ended = leadglass("--home", live.home, "zones", "rollback", "--yes")
    assert ended.code == Exit.ERROR
    assert "no earlier policy is kept" in ended.err


def test_policy_whose_own_tests_fail_is_refused_and_the_file_is_as_it_was(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path
) -> None:
    draft.write_text(EXAMPLE.replace('"get", "move"]', '"move"]'), encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "apply", draft, "--yes")
    assert ended.code == Exit.POLICY_TESTS_FAILED
    assert f"error: {draft}:" in ended.err  # the line to look at
    assert "ws1 get archive" in ended.err
    assert policy.read_text(encoding="utf-8") == EXAMPLE
    assert not policy.with_name("policy.toml.1").exists()


def test_policy_with_errors_is_refused_with_their_places(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path
) -> None:
    draft.write_text(EXAMPLE.replace("makes", "maks"), encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "apply", draft, "--yes")
    assert ended.code == Exit.ERROR
    assert 'did you mean "makes"?' in ended.err
    assert policy.read_text(encoding="utf-8") == EXAMPLE


def test_policy_that_is_in_place_is_not_written_again(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    ended = leadglass("--home", live.home, "zones", "apply", policy)
    assert ended.code == Exit.OK
    assert "in place already" in ended.err
    assert lines(live) == []


def test_policy_that_somebody_changes_while_the_question_stands_is_not_overwritten(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = EXAMPLE + "# somebody else\n"

    def confirm(_text: str, **_options: object) -> bool:
        policy.write_text(other, encoding="utf-8")
        return True

    at_a_terminal(monkeypatch)
    monkeypatch.setattr(typer, "confirm", confirm)
    ended = leadglass("--home", live.home, "zones", "apply", draft)
    assert ended.code == Exit.ERROR
    assert "changed meanwhile" in ended.err
    assert policy.read_text(encoding="utf-8") == other


def test_broken_policy_in_place_can_be_replaced_and_everything_counts_as_opened(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path
) -> None:
    policy.write_text("version = 1\n[zone]\n", encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "apply", draft, "--yes")
    assert ended.code == Exit.OK
    assert "permits nothing" in ended.err
    assert "+ ct1 echo archive" in ended.out
    assert policy.read_text(encoding="utf-8") == WIDER


@pytest.mark.parametrize("standing", [b"\xff\xfe", EXAMPLE.encode() + b"# caf\xe9\n"])
def test_policy_in_place_that_is_no_text_can_be_replaced_and_is_kept_byte_by_byte(
    leadglass: Leadglass, live: LiveSite, policy: Path, draft: Path, standing: bytes
) -> None:
    policy.write_bytes(standing)
    ended = leadglass("--home", live.home, "zones", "apply", "--yes", draft)
    assert ended.code == Exit.OK, ended.err
    assert "+ ct1 store archive" in ended.out
    assert policy.read_text(encoding="utf-8") == WIDER
    assert policy.with_name("policy.toml.1").read_bytes() == standing
    assert "has to be mended before it can come back" in ended.err
    assert leadglass("--home", live.home, "zones", "rollback", "--yes").code == Exit.ERROR


def test_allow_writes_the_narrowest_rule_with_an_end_and_the_reason(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    policy.write_text(EXAMPLE.replace('"us1 find archive", ', ""), encoding="utf-8")
    ended = leadglass("--home", live.home, "zones", "allow", "us1", "find", "--yes", "--reason", "ward asked")
    assert ended.code == Exit.OK
    assert "+ us1 find archive transport=plain, ip=10.20.9.5" in ended.out
    (line,) = (row for row in policy.read_text(encoding="utf-8").splitlines() if "us1-find" in row)
    assert ended.out.startswith("policy.toml:")
    assert f" + {line}\n" in ended.out
    flow = tomllib.loads(policy.read_text(encoding="utf-8"))["flows"]["us1-find"]
    last_day = datetime.now(UTC).date() + timedelta(days=7)
    assert flow == {
        "from": ["us1"],
        "to": "archive",
        "can": ["find"],
        "expires": last_day,
        "note": "ward asked",
    }
    again = leadglass("--home", live.home, "zones", "allow", "us1 find archive", "--yes")
    assert again.code == Exit.OK
    assert "allowed already, by flow us1-find" in again.err


def test_name_of_a_rule_that_is_taken_is_not_taken_twice(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    text = EXAMPLE.replace('"us1 find archive", ', "")
    taken = text.replace("[flows]", '[flows]\nus1-find = { from = [], to = "archive", can = ["find"] }', 1)
    policy.write_text(taken, encoding="utf-8")
    assert leadglass("--home", live.home, "zones", "allow", "us1", "find", "--yes").code == Exit.OK
    assert "us1-find-2" in tomllib.loads(policy.read_text(encoding="utf-8"))["flows"]


@pytest.mark.parametrize("reason", ["two\nlines", "\x1b[31m", "a" * 1025])
def test_reason_that_cannot_stand_in_the_rule_is_refused_by_its_option(
    leadglass: Leadglass, live: LiveSite, policy: Path, reason: str
) -> None:
    ended = leadglass("--home", live.home, "zones", "allow", "us1", "get", "--yes", "--reason", reason)
    assert ended.code == Exit.USAGE
    assert ended.err == "error: --reason must be one line of at most 1024 characters\n"
    assert policy.read_text(encoding="utf-8") == EXAMPLE


def test_rule_that_a_test_of_the_policy_forbids_is_not_written(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    ended = leadglass("--home", live.home, "zones", "allow", "us1", "find", "--yes")
    assert ended.code == Exit.POLICY_TESTS_FAILED
    assert 'error: test "us1 find archive"' in ended.err  # no line of a text that nobody has
    assert "us1 find archive" in ended.err
    assert policy.read_text(encoding="utf-8") == EXAMPLE


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("internet", "echo"), Exit.FINDINGS, "no further rule would permit it: zone"),
        (("us9", "find"), Exit.USAGE, "unknown caller"),
        (("ct1", "find", "--expires", "soon"), Exit.USAGE, "is no time; write 7d"),
        (("ct1", "find", "--expires", "2026-02-30"), Exit.USAGE, "is no time; write 7d"),
        (("ct1", "find", "--expires", "2020-01-01"), Exit.USAGE, "has passed"),
    ],
)
def test_what_cannot_be_allowed_is_said_and_nothing_written(
    leadglass: Leadglass, live: LiveSite, policy: Path, arguments: tuple[str, ...], code: Exit, message: str
) -> None:
    ended = leadglass("--home", live.home, "zones", "allow", *arguments, "--yes")
    assert ended.code == code
    assert message in ended.err
    assert policy.read_text(encoding="utf-8") == EXAMPLE
