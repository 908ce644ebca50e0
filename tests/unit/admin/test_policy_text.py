from __future__ import annotations

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.admin.policy_text import (
    EntryValue,
    entry_line,
    with_device,
    with_entry,
    with_revoked,
    without_allow_tests,
    without_entry,
    without_revoked,
)
from leadglass.model.errors import ConfigurationInvalid

DAY = date(2026, 11, 22)
ENTRY: dict[str, EntryValue] = {"zone": "modalities", "ae": ("CT1",)}
LINE = 'ct1 = { zone = "modalities", ae = ["CT1"] }'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[devices]\n[flows]\n", f"[devices]\n{LINE}\n[flows]\n"),
        (
            "[devices]  # machines\n# an example\n\n[flows]\n",
            f"[devices]  # machines\n# an example\n{LINE}\n\n[flows]\n",
        ),
        (
            '[devices]\nmr1 = { zone = "x" }  # old\n\n# about flows\n[flows]\n',
            f'[devices]\nmr1 = {{ zone = "x" }}  # old\n{LINE}\n\n# about flows\n[flows]\n',
        ),
        ('[devices]\nmr1 = { zone = "x" }', f'[devices]\nmr1 = {{ zone = "x" }}\n{LINE}\n'),
        ("version = 1\n", f"version = 1\n\n[devices]\n{LINE}\n"),
        ('[devices.mr1]\nzone = "x"\n', f'[devices.mr1]\nzone = "x"\n\n[devices]\n{LINE}\n'),
        ("", f"\n\n[devices]\n{LINE}\n"),
    ],
)
def test_device_is_one_line_after_the_last_one(before: str, after: str) -> None:
    assert with_device(before, "ct1", ENTRY) == after


@pytest.mark.parametrize(
    "text",
    [
        'devices = { mr1 = { zone = "x" } }\n',
        'note = """\n[devices]\n"""\n[devices]\n[devices.mr1]\nae = ["X"]\n[x]\ny = """\n[devices]\n"""',
        "[devices\n",
        "devices = 3\n",
        '[devices]\nct1 = { zone = "x" }\n',
    ],
)
def test_file_it_cannot_follow_is_left_to_the_administrator(text: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        with_device(text, "ct1", ENTRY)


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=3))
def test_any_text_survives_as_itself(word: str, words: list[str]) -> None:
    line = entry_line("ct1", {"owner": word, "ae": tuple(words)})
    assert tomllib.loads(line) == {"ct1": {"owner": word, "ae": words}}
    assert len(line.splitlines()) == 1 or "\x85" in word + "".join(words)


def test_revoking_and_reinstating_keep_comments() -> None:
    text = '[devices]\nct1 = { zone = "x" }  # the scanner\n\n[devices.mr1]  # long form\nzone = "x"\n'
    for name in ("ct1", "mr1"):
        revoked = with_revoked(text, name, DAY)
        assert tomllib.loads(revoked)["devices"][name]["revoked"] == DAY
        assert "# the scanner" in revoked
        assert "# long form" in revoked
        assert with_revoked(revoked, name, date(2030, 1, 1)) == revoked
        assert tomllib.loads(without_revoked(revoked, name)) == tomllib.loads(text)
    assert with_revoked(text, "ct1", DAY).replace(", revoked = 2026-11-22", "") == text
    assert without_revoked(with_revoked(text, "ct1", DAY), "ct1") == text
    assert without_revoked(text, "ct1") == text


@pytest.mark.parametrize("text", ["", "[devices]\n", "devices = 3\n", "[devices]\nct1 = 3\n", "[devices"])
def test_device_that_is_not_there_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        with_revoked(text, "ct1", DAY)
    with pytest.raises(ConfigurationInvalid):
        without_revoked(text, "ct1")


def test_revoking_changes_no_other_byte() -> None:
    text = '[zones]\nz = { day = 2027-01-01 }   # odd\n[devices]\n  ct1  = { zone = "a}b" }# {x}\n'
    revoked = with_revoked(text, "ct1", DAY)
    assert revoked == text.replace('"a}b" }', '"a}b", revoked = 2026-11-22 }')
    assert without_revoked(revoked, "ct1") == text
    first = '[devices]\nct1 = { revoked = 2026-11-22, zone = "x" }\n'
    assert without_revoked(first, "ct1") == '[devices]\nct1 = { zone = "x" }\n'


def test_quoted_name_and_several_rows_are_edited_too() -> None:
    text = '[devices]\n"ct1" = { zone = "x", ae = [\n  "A",\n] }\n'
    revoked = with_revoked(text, "ct1", DAY)
    assert tomllib.loads(revoked)["devices"]["ct1"] == {"zone": "x", "ae": ["A"], "revoked": DAY}


def test_only_the_named_tests_go() -> None:
    text = '[tests]\nallow = ["a", "b"]  # kept\ndeny = ["a"]\n'
    after = without_allow_tests(text, frozenset({"a"}))
    assert tomllib.loads(after)["tests"] == {"allow": ["b"], "deny": ["a"]}
    assert "# kept" in after
    assert without_allow_tests("version = 1\n", frozenset({"a"})) == "version = 1\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[learning]\nus1 = { ip = 1 }\n", "[learning]\n"),
        (
            '[flows]\nus1 = { to = "x" }\n[learning]  # 1\n# a note\n  us1={ ip = 1 }  # 2\nmr1 = { ip = 2 }',
            '[flows]\nus1 = { to = "x" }\n[learning]  # 1\n# a note\nmr1 = { ip = 2 }',
        ),
        ("[learning.mr1]\nip = 2\n[learning.us1]\nip = 1\n", "[learning.mr1]\nip = 2\n"),
        ("learning = { us1 = { ip = 1 }, mr1 = { ip = 2 } }\n", "learning = { mr1 = { ip = 2 } }\n"),
    ],
)
def test_an_entry_is_taken_out_and_nothing_else(before: str, after: str) -> None:
    changed = without_entry(before, "learning", "us1")
    assert tomllib.loads(changed) == tomllib.loads(after)
    if "{ ip = 1 }" in before and before.startswith("["):
        assert changed == after


@pytest.mark.parametrize("text", ["", "[learning]\nmr1 = { ip = 1 }\n", "learning = 3\n"])
def test_an_entry_that_is_not_there_cannot_be_taken_out(text: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="has no"):
        without_entry(text, "learning", "us1")


def test_numbers_and_days_of_an_entry_are_written_as_such() -> None:
    changed = with_entry("", "flows", "f", {"per_hour": 60, "expires": DAY, "can": ("store",)})
    assert 'f = { per_hour = 60, expires = 2026-11-22, can = ["store"] }' in changed


def test_lines_end_as_the_file_s_own_do() -> None:
    text = 'version = 1\r\n[devices]  # ours\r\nct1 = { zone = "a" }\r\n'
    added = with_entry(text, "devices", "ct2", {"zone": "a"})
    assert added == text + 'ct2 = { zone = "a" }\r\n'
    assert (
        with_entry(text, "flows", "x", {"to": "archive"})
        == text + '\r\n[flows]\r\nx = { to = "archive" }\r\n'
    )
    assert without_entry(added, "devices", "ct2") == text
