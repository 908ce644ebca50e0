from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.sitefile import FileInvalid, Place, decode_text, read_source
from leadglass.sitefile.places import KeyPath

TEXT = '''\
a.b."c d" = { x = 1, y.z = [10, "é", { q = 2 }] }  # "é" is two bytes
[t.u]
"é é" = "ü"
k = """
two lines"""
[[list]]
z = 1979-05-27
[[list]]
z = [
  1, # one
  2,
]
[list.inner]
w = true
'''


def refusal(text: str) -> str:
    with pytest.raises(FileInvalid) as caught:
        read_source(text, path="f.toml")
    assert len(caught.value.findings) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("a",), (1, 1), (1, 1)),
        (("a", "b"), (1, 3), (1, 3)),
        (("a", "b", "c d"), (1, 5), (1, 13)),
        (("a", "b", "c d", "x"), (1, 15), (1, 19)),
        (("a", "b", "c d", "y", "z"), (1, 24), (1, 28)),
        (("t",), (2, 2), (2, 2)),
        (("t", "u"), (2, 4), (2, 4)),
        (("t", "u", "é é"), (3, 1), (3, 9)),
        (("t", "u", "k"), (4, 1), (4, 5)),
        (("list", 1, "z"), (9, 1), (9, 5)),
        (("list", 1, "inner", "w"), (14, 1), (14, 5)),
    ],
)
def test_every_key_and_value_has_its_place(
    path: KeyPath, key: tuple[int, int], value: tuple[int, int]
) -> None:
    source = read_source(TEXT, path="f.toml")
    assert source.key_place(path) == Place(*key)
    assert source.value_place(path) == Place(*value)


def test_array_items_have_places_counted_in_characters() -> None:
    source = read_source(TEXT, path="f.toml")
    items = ("a", "b", "c d", "y", "z")
    assert [source.value_place((*items, number)) for number in range(3)] == [
        Place(1, 29),
        Place(1, 33),
        Place(1, 38),
    ]
    assert source.key_place((*items, 2, "q")) == Place(1, 40)
    assert source.value_place(("list", 1, "z", 1)) == Place(11, 3)


def test_absent_key_stands_where_its_nearest_parent_does() -> None:
    source = read_source(TEXT, path="f.toml")
    assert source.key_place(("t", "u", "none", 3)) == Place(2, 4)
    assert source.value_place(("none",)) == Place(1, 1)


def test_value_at_follows_tables() -> None:
    source = read_source(TEXT, path="f.toml")
    assert source.value_at(("t", "u")) == {"é é": "ü", "k": "two lines"}
    assert source.value_at(("t", "u", "k")) == "two lines"
    assert source.value_at(("t", "u", "k", "deeper")) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = \n", "f.toml:1:5: error: not TOML: invalid value"),
        ("a = 1\nb = [1,\n2\n", "f.toml:2:1: error: not TOML: unclosed array"),
        ("[z\nk = 1", "f.toml:1:3: error: not TOML: expected ']' at the end of a table declaration"),
        ("a.b = 1\na = 2", "f.toml:2:6: error: not TOML: cannot overwrite a value"),
        ('"\\q" = 1', "f.toml:1:4: error: not TOML: unescaped '\\' in a string"),
        ('"\\ud800" = 1', "f.toml:1:8: error: not TOML: escaped character is not a Unicode scalar value"),
        ("a b = 1", "f.toml:1:3: error: not TOML: expected '=' after a key in a key/value pair"),
        ("a = 1\nb = " + "1" * 5000, "f.toml:2:5: error: a number has too many digits"),
        ("\ufeffa = 1", "f.toml:1:1: error: a byte order mark; save it as UTF-8 without one"),
        ("a = '\udc80'", "f.toml:1:6: error: not UTF-8 text"),
    ],
)
def test_syntax_error_names_line_and_column(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\n a = 2\n", 'f.toml:2:2: error: "a" is set twice; it is already set in line 1, column 1'),
        (
            "a = { b = 1, b = 2 }",
            'f.toml:1:14: error: "a.b" is set twice; it is already set in line 1, column 7',
        ),
        ("[t]\n[t]\n", 'f.toml:2:2: error: "t" is set twice; it is already set in line 1, column 2'),
        (
            "t.u = 1\n[t]\n'u' = 2",
            'f.toml:3:1: error: "t.u" is set twice; it is already set in line 1, column 3',
        ),
    ],
)
def test_duplicate_key_names_both_places(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


def test_nesting_of_16_is_read_and_17_is_refused_where_it_happens() -> None:
    read_source("a = " + "[" * 16 + "]" * 16, path="f.toml")
    assert refusal("a = " + "[" * 17 + "]" * 17).startswith(
        "f.toml:1:21: error: tables or arrays nested deeper"
    )
    assert refusal("\n[" + ".".join("a" * 17) + "]").startswith("f.toml:2:34: error: tables or arrays nested")


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, ".".join("a" * 100_000), '"a" . ' * 50_000])
def test_hostile_nesting_is_refused_without_exhausting_the_stack(text: str) -> None:
    assert refusal(text) == "f.toml:1:1: error: tables or arrays nested deeper than 16"


def test_bytes_that_are_no_text_are_named_by_line_and_column() -> None:
    assert decode_text("a = 'ä'".encode(), path="f.toml") == "a = 'ä'"
    with pytest.raises(FileInvalid) as caught:
        decode_text("a = 'ä'\nb = '".encode() + b"\xe4'", path="f.toml")
    assert str(caught.value) == "f.toml:2:6: error: not UTF-8 text; save it as UTF-8"


def test_more_than_1_mib_is_refused() -> None:
    assert refusal("#" * (1 << 20) + "#") == "f.toml:1:1: error: larger than 1048576 bytes"


@given(st.text(alphabet="ab.[]{}=\"'#,\n 1é-\\", max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        source = read_source(text, path="f")
    except FileInvalid as error:
        places = [Place(finding.line, finding.column) for finding in error.findings]
    else:
        places = [source.key_place((key,)) for key in source.values]
    assert all(place.line >= 1 and place.column >= 1 for place in places)
