from __future__ import annotations

from leadglass.sitefile import nearest, suggest


def test_nearest_word_ignores_case() -> None:
    assert nearest("MAKS", ["makes", "zone"]) == "makes"


def test_nothing_near_is_none() -> None:
    assert nearest("quark", ["makes", "zone"]) is None


def test_suggestion_names_the_nearest_word() -> None:
    assert suggest("fnd", ["find", "get"]) == 'did you mean "find"?'


def test_suggestion_lists_what_is_known_when_nothing_is_near() -> None:
    assert suggest("quark", ["zone", "makes"]) == "known: makes, zone"
    assert suggest("quark", []) == "none is defined"


def test_long_list_of_known_words_is_cut() -> None:
    assert suggest("quark", [f"z{number:02}" for number in range(30)]).endswith("z19, ...")
