"""The entry point: errors are a line and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from leadglass import __version__
from leadglass.cli import main as entry
from leadglass.cli.main import COMMANDS, INTERRUPTED
from leadglass.cli.output import Exit
from leadglass.model.errors import LeadglassError
from tests.support.command_line import Leadglass
from tests.support.site import LiveSite


def test_it_says_its_version(leadglass: Leadglass) -> None:
    assert leadglass("--version").out == f"leadglass {__version__}\n"


def test_it_lists_every_command(leadglass: Leadglass) -> None:
    ended = leadglass("--help")
    assert ended.code == Exit.OK
    assert all(f" {command} " in ended.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(leadglass: Leadglass, command: str) -> None:
    ended = leadglass(command, "--help")
    assert ended.code == Exit.OK
    assert "Usage: leadglass" in ended.out


def test_names_of_tables_in_help_are_shown(leadglass: Leadglass) -> None:
    ended = leadglass("zones", "prove", "--help")
    assert "[invariants] of the policy" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["status", "extra"],
        ["audit", "tail", "-n", "0"],
        ["echo", "--to", "127.0.0.1:1"],
        ["device", "no-such-verb"],
    ],
)
def test_a_wrong_word_is_a_usage_error(leadglass: Leadglass, arguments: list[str]) -> None:
    ended = leadglass(*arguments)
    assert ended.code == Exit.USAGE
    assert ended.out == ""
    assert ended.err


@pytest.mark.parametrize("command", [["status"], ["serve"], ["check"], ["audit", "tail"], ["device", "list"]])
def test_a_command_on_a_site_needs_to_know_which(leadglass: Leadglass, command: list[str]) -> None:
    ended = leadglass(*command)
    assert ended.code == Exit.USAGE
    assert "--home" in ended.err


@pytest.mark.parametrize(
    "command", [["status"], ["serve"], ["check"], ["audit", "verify"], ["zones", "check"], ["device", "list"]]
)
def test_where_there_is_no_site_that_is_said_and_nothing_is_made(
    leadglass: Leadglass, tmp_path: Path, command: list[str]
) -> None:
    ended = leadglass("--home", tmp_path / "nowhere", *command)
    assert ended.code == Exit.ERROR
    assert "init" in ended.err
    assert not (tmp_path / "nowhere").exists()


def test_the_site_may_be_named_by_the_environment(
    leadglass: Leadglass, live: LiveSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monkeypatch, "delenv", lambda *_args, **_kwargs: None)
    monkeypatch.setenv("LEADGLASS_HOME", str(live.home))
    assert leadglass("status").code == Exit.OK


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def app() -> None:
        raise error

    monkeypatch.setattr(entry, "app", app)


class OddError(LeadglassError):
    """An error of no special kind."""


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (
            OddError("a peer wrote \x1b[2J and \x07"),
            Exit.ERROR,
            "error: a peer wrote \N{REPLACEMENT CHARACTER}[2J",
        ),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted"),
        (
            PermissionError(13, "Permission denied", "/srv/out"),
            Exit.ERROR,
            "error: /srv/out: Permission denied",
        ),
        (OSError("odd"), Exit.ERROR, "error: the system: OSError"),
    ],
)
def test_what_escapes_a_command_is_one_line(
    leadglass: Leadglass, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, says: str
) -> None:
    fails_with(monkeypatch, error)
    ended = leadglass("status")
    assert ended.code == code
    assert ended.err.startswith(says)
    assert "\x1b" not in ended.err


def test_a_reader_that_has_gone_ends_it_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        fails_with(monkeypatch, BrokenPipeError(32, "Broken pipe"))
        before = os.umask(0o077)
        with pytest.raises(SystemExit) as end:
            entry.main()
        os.umask(before)
        assert end.value.code == Exit.ERROR


def test_what_is_no_command_of_typers_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.main.get_command", lambda _app: object())
    commands = entry.LazyCommands()
    with pytest.raises(TypeError):
        commands.get_command(None, "status")
