from __future__ import annotations

from leadglass.model.errors import ConfigurationInvalid
from leadglass.sitefile import FileInvalid, Finding, Severity, quoted


def test_finding_prints_place_severity_message_and_hint() -> None:
    finding = Finding(Severity.ERROR, "policy.toml", 12, 5, 'unknown key "maks"', 'did you mean "makes"?')
    assert str(finding) == 'policy.toml:12:5: error: unknown key "maks"; did you mean "makes"?'


def test_finding_without_hint_ends_with_its_message() -> None:
    assert str(Finding(Severity.WARNING, "p", 1, 2, "odd")) == "p:1:2: warning: odd"


def test_refusal_of_a_file_carries_all_findings_and_is_a_configuration_error() -> None:
    findings = (Finding(Severity.ERROR, "p", 1, 1, "a"), Finding(Severity.ERROR, "p", 2, 1, "b"))
    error = FileInvalid(findings)
    assert isinstance(error, ConfigurationInvalid)
    assert error.findings == findings
    assert str(error) == "p:1:1: error: a\np:2:1: error: b"


def test_quoted_text_holds_no_control_characters_and_cannot_close_its_quotes() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    assert quoted("\x1b[31m\n\u202e") == '"\\x1b[31m\\n\\u202e"'


def test_quoted_text_is_cut_at_64_characters() -> None:
    assert quoted("x" * 65) == '"' + "x" * 64 + '…"'
