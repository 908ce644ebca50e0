from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from leadglass.sitefile import toml_string, toml_strings
from leadglass.sitefile.toml_text import toml_comment


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_reads_back_as_it_was(text: str) -> None:
    assert tomllib.loads(f"a = {toml_string(text)}") == {"a": text}


def test_list_of_strings_is_an_array() -> None:
    assert toml_strings(["a", 'b"']) == '["a", "b\\""]'


def test_comment_stays_on_its_line() -> None:
    assert toml_comment("a\nb = 1") == "a b = 1"
