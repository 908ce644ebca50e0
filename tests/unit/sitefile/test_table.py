from __future__ import annotations

from datetime import date

import pytest

from leadglass.sitefile import Severity, read_source
from leadglass.sitefile.table import Notes, Table


def table(text: str) -> Table:
    return Table.root(Notes(read_source(text, path="f")))


def said(root: Table) -> list[str]:
    return [str(finding) for finding in root.notes.findings]


def test_right_values_are_read_and_absent_ones_are_none() -> None:
    root = table('t = "x"\nn = 3\nd = 2027-01-31\nw = ["a", "b"]\ns = "alone"\n[in]\nk = 1')
    assert (root.text("t"), root.whole("n", 0, 9), root.day("d")) == ("x", 3, date(2027, 1, 31))
    assert (root.words("w"), root.words("s")) == (("a", "b"), ("alone",))
    assert root.table("in").whole("k", 0, 9) == 1
    assert (root.text("no"), root.whole("no", 0, 9), root.day("no"), root.words("no")) == (None,) * 4
    assert root.table("no").keys() == ()
    root.refuse_others()
    assert said(root) == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("true", "true or false"),
        ("1.5", "a number"),
        ("[1]", "a list"),
        ("{}", "a table"),
        ("12:00:00", "a date or time"),
    ],
)
def test_wrong_type_is_named(value: str, kind: str) -> None:
    root = table(f"t = {value}")
    assert root.text("t") is None
    assert said(root) == [f'f:1:5: error: "t" must be a string, not {kind}']


def test_wrong_types_of_every_reader_are_errors() -> None:
    root = table('n = true\nd = 2027-01-31T10:00:00\nw = 3\ni = ["a", 1, "a"]\nt = "x"')
    assert root.whole("n", 0, 9) is None
    assert root.day("d") is None
    assert root.words("w") is None
    assert root.words("i") == ("a",)
    assert root.table("t").keys() == ()
    assert said(root) == [
        'f:1:5: error: "n" must be a whole number, not true or false',
        'f:2:5: error: "d" must be a date without quotes, like 2027-01-31, not a date or time',
        'f:3:5: error: "w" must be a list of strings, not a number',
        'f:4:11: error: "i" must be a list of strings, not a number',
        'f:4:14: error: "a" stands twice in "i"',
        'f:5:5: error: "t" must be a table, not a string',
    ]


def test_numbers_and_texts_have_bounds() -> None:
    root = table('n = 10\nt = "a\\nb"')
    assert root.whole("n", 0, 9) is None
    assert root.text("t") is None
    assert said(root) == [
        'f:1:5: error: "n" must be from 0 to 9',
        'f:2:5: error: "t" must be one line of at most 1024 characters',
    ]


def test_key_never_asked_for_is_unknown_and_the_nearest_is_named() -> None:
    root = table("makes = 1\nmaks = 2\nquark = 3")
    root.whole("makes", 0, 9)
    root.refuse_others()
    assert said(root) == [
        'f:2:1: error: unknown key "maks"; did you mean "makes"?',
        'f:3:1: error: unknown key "quark"; known: makes',
    ]


def test_missing_key_is_noted_at_its_table() -> None:
    root = table("[a.b]")
    root.require("k", "add it")
    root.table("a").table("b").require("k", "add it")
    root.table("a").require("b", "there")
    assert said(root) == ['f:1:1: error: the file has no "k"; add it', 'f:1:4: error: a.b has no "k"; add it']


def test_bad_names_of_tables_are_refused() -> None:
    root = table('[a]\n["b c"]\n["*"]')
    assert [name for name, _ in root.tables()] == ["a"]
    root.refuse_others()
    assert [text.partition(";")[0] for text in said(root)] == [
        'f:2:2: error: bad name "b c"',
        'f:3:2: error: bad name "*"',
    ]


def test_unknown_word_is_noted_with_the_nearest() -> None:
    root = table('can = ["find", "fnd"]')
    assert root.one_of("can", "find", ("find", "get"), 0)
    assert not root.one_of("can", "fnd", ("find", "get"), 1)
    assert said(root) == ['f:1:16: error: "can" has unknown "fnd"; did you mean "find"?']


def test_warnings_are_no_errors() -> None:
    root = table("a = 1")
    root.notes.warn(root.place_of("a"), "odd")
    assert root.notes.errors == ()
    assert [finding.severity for finding in root.notes.findings] == [Severity.WARNING]
