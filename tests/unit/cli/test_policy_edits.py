"""Every command that writes ``policy.toml``: comments and order outlast it, and a failed test forbids it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.cli.output import Exit
from tests.support.command_line import Leadglass, at_a_terminal
from tests.support.site import LiveSite

POLICY = """\
# The hospital's policy. Ask Ms. Weber before changing it.
version = 1  # of the language

[zones]  # where
# scanners stand in the basement
modalities = { cidr = ["10.20.1.0/24"], transport = "mtls" }  # VLAN 21
legacy     = { cidr = ["10.20.9.0/28"], transport = "plain", review_by = 2099-01-31 }

[devices]  # who
ct1  = { zone = "modalities", ae = ["CT1"], owner = "radiology" }  # bought in 2019

# the old one
us1  = { zone = "legacy", ae = ["LOGIQ"], ip = "10.20.9.5", makes = ["US"] }

[flows]  # what
acquire  = { from = ["zone:modalities"], to = "archive", can = ["echo", "store"] }  # all scanners
old      = { from = ["us1"], to = "archive", can = ["echo", "store"] }

[tests]
# what Ms. Weber asked for
allow = ["ct1 store archive", "us1 store archive modality=US"]
deny  = ["internet echo archive"]  # never
# the end
"""
ADD = ("device", "add", "ct2", "--zone", "modalities", "--ae", "CT2", "--out", "OUT", "--yes")
WATCH = ("device", "learn", "us2", "--ip", "10.20.9.7", "--for", "3d", "--yes")
COMMANDS = (
    ADD,
    ("device", "revoke", "ct1", "--yes"),
    ("zones", "allow", "ct1", "find", "--expires", "7d", "--yes"),
    WATCH,
)


@pytest.fixture
def policy(live: LiveSite) -> Path:
    path = live.home / "policy.toml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def run(leadglass: Leadglass, live: LiveSite, tmp_path: Path, command: tuple[str, ...]) -> int:
    arguments = [str(tmp_path / "out") if word == "OUT" else word for word in command]
    return leadglass("--home", live.home, *arguments).code


def kept(text: str) -> list[str]:
    """Everything but what a command may add or take away: comments, and the names of entries, in order."""
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    return [each.strip() for each in comments]


def names(text: str) -> list[str]:
    entries = [line.partition("=")[0].strip() for line in text.splitlines() if "=" in line.partition("#")[0]]
    return [name for name in entries if name in POLICY]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:3]))
def test_comments_and_order_outlast_a_change(
    leadglass: Leadglass, live: LiveSite, policy: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert run(leadglass, live, tmp_path, command) == Exit.OK
    changed = policy.read_text(encoding="utf-8")
    assert changed != POLICY
    assert kept(changed) == kept(POLICY)
    assert names(changed) == names(POLICY)
    lines = POLICY.splitlines()
    touched = [line for line in lines if line not in changed.splitlines()]
    assert (
        len(touched) <= 3
    )  # the entry that was changed, and tests that an administrator's command takes out


def test_watching_is_ended_and_a_device_let_in_again_without_a_trace(
    leadglass: Leadglass, live: LiveSite, policy: Path, tmp_path: Path
) -> None:
    assert run(leadglass, live, tmp_path, WATCH) == Exit.OK
    assert run(leadglass, live, tmp_path, ("device", "learn", "us2", "--stop", "--yes")) == Exit.OK
    assert kept(policy.read_text(encoding="utf-8")) == kept(POLICY)
    without_tests = POLICY.replace('"ct1 store archive", ', "")
    policy.write_text(without_tests, encoding="utf-8")
    assert run(leadglass, live, tmp_path, ("device", "revoke", "ct1", "--yes")) == Exit.OK
    assert run(leadglass, live, tmp_path, ("device", "renew", "ct1", "--out", "OUT", "--yes")) == Exit.OK
    assert policy.read_text(encoding="utf-8") == without_tests


SPARE = POLICY.replace(
    "[devices]",
    'spare = { cidr = ["10.20.8.0/28"], transport = "plain", review_by = 2099-01-31 }\n\n[devices]',
).replace("[tests]", 'spare = { from = ["zone:spare"], to = "archive", can = ["echo"] }\n\n[tests]')
SPARE += '[invariants]\nspare = "no path from zone:spare to target:archive"  # until it is furnished\n'


@pytest.mark.parametrize(
    "command",
    [
        ("device", "add", "ct2", "--zone", "spare", "--ae", "CT2", "--ip", "10.20.8.3", "--yes"),
        ("device", "learn", "us2", "--ip", "10.20.8.7", "--for", "3d", "--yes"),
        ("zones", "allow", "us1", "find", "--expires", "7d", "--yes"),
    ],
    ids=("device add", "device learn", "zones allow"),
)
def test_change_that_a_test_forbids_exits_4_and_leaves_the_file_as_it_was(
    leadglass: Leadglass, live: LiveSite, policy: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    text = SPARE.replace('deny  = ["internet', 'deny  = ["us1 find archive", "internet')
    policy.write_text(text, encoding="utf-8")
    assert run(leadglass, live, tmp_path, command) == Exit.POLICY_TESTS_FAILED
    assert policy.read_text(encoding="utf-8") == text


ADDED = ("device", "add", "ct2", "--zone", "modalities", "--ae", "CT2", "--out", "OUT")
RENEWED = ("device", "renew", "ct1", "--out", "OUT")
ASKING = (
    (ADDED, "Add ct2?", '+ ct2 = { zone = "modalities"', "+ ct2 store archive"),
    (("device", "revoke", "ct1"), "Revoke ct1?", "revoked = ", "- ct1 store archive"),
    (RENEWED, "Renew ct1?", "policy.toml:10 + ct1  = ", "+ ct1 store archive"),
)


@pytest.fixture
def before(policy: Path) -> str:
    """What the policy says before the change: to be renewed, ct1 is revoked."""
    return policy.read_text(encoding="utf-8").replace('"ct1 store archive", ', "")


@pytest.mark.parametrize(("command", "question", "line", "reach"), ASKING, ids=("add", "revoke", "renew"))
@pytest.mark.parametrize(
    ("options", "code"), [((), Exit.USAGE), (("--dry-run",), Exit.OK), ("no", Exit.ERROR)]
)
def test_device_commands_show_the_change_and_without_a_yes_make_none(
    leadglass: Leadglass,
    live: LiveSite,
    policy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    command: tuple[str, ...],
    question: str,
    line: str,
    reach: str,
    options: tuple[str, ...] | str,
    code: Exit,
) -> None:
    if "renew" in command:
        before = before.replace('owner = "radiology" }', 'owner = "radiology", revoked = 2026-01-31 }')
    policy.write_text(before, encoding="utf-8")
    if options == "no":
        at_a_terminal(monkeypatch, "\n")
        options = ()
    arguments = [str(tmp_path / "out") if word == "OUT" else word for word in command]
    ended = leadglass("--home", live.home, *arguments, *options)
    assert ended.code == code
    assert line in ended.out
    assert reach in ended.out
    assert ("nothing was changed" in ended.err, question in ended.err) == (True, code != Exit.OK)
    assert ("add --yes" in ended.err) == (code == Exit.USAGE)
    assert policy.read_text(encoding="utf-8") == before
    assert not (tmp_path / "out").exists()
    assert not [each for each in live.audit() if each.event.kind.startswith("device.")]


def test_who_says_yes_at_the_terminal_gets_the_change_that_was_shown(
    leadglass: Leadglass, live: LiveSite, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch, "y\n")
    assert run(leadglass, live, tmp_path, ADDED) == Exit.OK
    assert "ct2 = " in policy.read_text(encoding="utf-8")
    assert (tmp_path / "out" / "key.pem").exists()


def test_dry_run_of_a_device_is_told_as_json(
    leadglass: Leadglass, live: LiveSite, policy: Path, tmp_path: Path
) -> None:
    ended = leadglass("--home", live.home, *ADDED[:-1], tmp_path / "out", "--dry-run", "--json")
    assert ended.json["applied"] is False
    assert [each["subject"] for each in ended.json["difference"]["opened"]] == ["ct2", "ct2"]
    assert str(tmp_path / "out") in ended.json["certificates"][0]
    assert policy.read_text(encoding="utf-8") == POLICY


def test_revoking_tells_what_it_can_do_with_a_broken_policy(
    leadglass: Leadglass, live: LiveSite, policy: Path, tmp_path: Path
) -> None:
    assert run(leadglass, live, tmp_path, ADD) == Exit.OK
    policy.write_text("nonsense", encoding="utf-8")
    ended = leadglass("--home", live.home, "device", "revoke", "ct2", "--dry-run")
    assert ended.code == Exit.OK
    assert "only its certificates are revoked" in ended.err
