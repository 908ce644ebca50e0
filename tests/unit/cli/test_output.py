"""What is printed, and exit codes."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from leadglass.admin.policy_files import PolicyTestsFailed
from leadglass.cli.output import Exit, fail, print_fields, print_json, print_rows, say, visible
from leadglass.model.errors import (
    ConfigurationInvalid,
    IntegrityBroken,
    LeadglassError,
    NotAdmitted,
    NotPermitted,
    TransportFailed,
)

HOSTILE = "Doe\x1b]0;owned\x07^Jane\u202e\x9b31m\u0000"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotPermitted("no"), Exit.FINDINGS),
        (NotAdmitted("no"), Exit.FINDINGS),
        (PolicyTestsFailed(()), Exit.POLICY_TESTS_FAILED),
        (IntegrityBroken("broken"), Exit.INTEGRITY_BROKEN),
        (ConfigurationInvalid("wrong"), Exit.ERROR),
        (TransportFailed("gone"), Exit.ERROR),
    ],
)
def test_an_error_has_its_exit_code(
    error: LeadglassError, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end:
        fail(error)
    assert end.value.exit_code == code
    assert capsys.readouterr().err.startswith("error: ")


def test_what_steers_a_terminal_is_made_visible() -> None:
    shown = visible(HOSTILE)
    assert shown.isprintable()
    assert len(shown) == len(HOSTILE)
    assert visible("Muster^Jörg 見本") == "Muster^Jörg 見本"


def test_messages_keep_their_lines_and_lose_their_controls(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"one\n[bold]two[/bold] {HOSTILE}")
    err = capsys.readouterr().err
    assert err.split("\n")[0] == "one"
    assert "[bold]two[/bold]" in err
    say("26:100: a test of the policy")
    assert capsys.readouterr().err == "26:100: a test of the policy\n"
    assert "\x1b" not in err
    assert "\x07" not in err


def test_rows_are_tab_separated_and_neutral(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("a", "b"), [("1", HOSTILE), ("2\t", "x\ny")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(len(line.split("\t")) == 2 for line in lines)


def test_rows_are_a_table_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_rows(("name", "zone"), [("ct1", HOSTILE), ("[red]us1[/red]", ":100:")])
    out = capsys.readouterr().out
    assert "name" in out
    assert "ct1" in out
    assert "[red]us1[/red]" in out
    assert ":100:" in out
    assert "\x07" not in out


def test_fields_are_aligned_and_neutral(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"a": "1", "longer": HOSTILE})
    print_fields({})
    out = capsys.readouterr().out
    assert out.startswith("a       1\nlonger  ")
    assert "\x1b" not in out


def test_json_is_one_line_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {"path": Path("x"), "bytes": b"\xff", "when": datetime(2026, 1, 1, tzinfo=UTC), "what": HOSTILE}
    )
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out)["what"] == HOSTILE
    assert "\x1b" not in out
