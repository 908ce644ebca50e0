from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.admin.importing.commented_json import MAX_DEPTH, Located, parse_commented_json
from leadglass.admin.importing.found import SourceInvalid

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def bare(found: Located) -> Any:
    match found.value:
        case list():
            return [bare(item) for item in found.value]
        case dict():
            return {key: bare(item) for key, item in found.value.items()}
        case value:
            return value


@given(JSON, st.sampled_from([None, 2]))
def test_all_json_reads_as_the_standard_library_has_it(value: object, indent: int | None) -> None:
    assert bare(parse_commented_json(json.dumps(value, indent=indent), "x.json")) == value


@given(st.text() | st.text(alphabet='{}[]",:/*\\ \n1tru$'))
def test_whatever_stands_in_a_file_is_read_or_refused_with_its_line(text: str) -> None:
    said = "x.json:"
    try:
        parse_commented_json(text, "x.json")
    except SourceInvalid as error:
        said = str(error)
    assert said.startswith("x.json:")


def test_comments_of_both_kinds_are_nothing_and_strings_keep_what_looks_like_one() -> None:
    text = '// first\n{ /* a * b ** */ "url" : "http://x/*y*/", // last\n "b" : [ 1, /**/ 2 ] /**/ }\n// end'
    assert bare(parse_commented_json(text, "x.json")) == {"url": "http://x/*y*/", "b": [1, 2]}


def test_each_value_knows_its_line() -> None:
    found = parse_commented_json('{\n/*\n*/ "a" : 1,\n"b" : [\n2 ] }', "x.json").value
    assert isinstance(found, dict)
    assert (found["a"].line, found["b"].line) == (3, 4)
    assert isinstance(found["b"].value, list)
    assert found["b"].value[0].line == 5


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "expected a value"),
        ('{ "a" : 1\n, "a" : 2 }', 2, '"a" is set twice, first in line 1'),
        ('{\n"a" 1 }', 2, "expected a colon"),
        ("{ a : 1 }", 1, "a name in double quotes"),
        ('{ "a" : 1 "b" : 2 }', 1, "expected a comma"),
        ("[ 1\n2 ]", 2, "expected a comma"),
        ("[ 1, ]", 1, "expected a value"),
        ('{ "port" :\n${PORT} }', 2, "write its value instead"),
        ('"a\nb"', 1, "does not end in its line"),
        ('"\\x"', 1, "an escape"),
        ("{} {}", 1, "behind the end"),
        ("{ /* \n", 1, "a comment that does not end"),
        ("012", 1, "expected a value"),
        ("12x", 1, "behind the end"),
        ("[" * (MAX_DEPTH + 2), 1, "nested deeper"),
        ("1" * 33, 1, "expected a value"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(SourceInvalid) as refused:
        parse_commented_json(text, "x.json")
    assert str(refused.value).startswith(f"x.json:{line}: ")
    assert says in str(refused.value)
