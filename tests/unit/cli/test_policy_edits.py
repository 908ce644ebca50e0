"""Every command that writes ``policy.toml``: comments and order outlast it, and a failed test forbids it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.cli.output import Exit
from tests.support.command_line import Leadglass
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
ADD = ("device", "add", "ct2", "--zone", "modalities", "--ae", "CT2", "--out", "OUT")
WATCH = ("device", "learn", "us2", "--ip", "10.20.9.7", "--for", "3d", "--yes")
COMMANDS = (
    ADD,
    ("device", "revoke", "ct1"),
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
    assert run(leadglass, live, tmp_path, ("device", "revoke", "ct1")) == Exit.OK
    assert run(leadglass, live, tmp_path, ("device", "renew", "ct1", "--out", "OUT")) == Exit.OK
    assert policy.read_text(encoding="utf-8") == without_tests


SPARE = POLICY.replace(
    "[devices]",
    'spare = { cidr = ["10.20.8.0/28"], transport = "plain", review_by = 2099-01-31 }\n\n[devices]',
).replace("[tests]", 'spare = { from = ["zone:spare"], to = "archive", can = ["echo"] }\n\n[tests]')
SPARE += '[invariants]\nspare = "no path from zone:spare to target:archive"  # until it is furnished\n'


@pytest.mark.parametrize(
    "command",
    [
        ("device", "add", "ct2", "--zone", "spare", "--ae", "CT2", "--ip", "10.20.8.3"),
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
