from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dataset.charsets import choose_character_set, decode_text, encode_text, parse_character_sets

SHIFTS = [b"\x1b$B", b"\x1b(B", b"\x1b)I", b"\x1b$)C", b"^", b"=", b"\\", b"\xb1", b"A"]
JAPANESE = ("", "ISO 2022 IR 87")
KATAKANA = ("ISO 2022 IR 13", "ISO 2022 IR 87")
# PS3.5 Annex H.3.1, H.3.2 and I.2: the standard's own examples.
H31 = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
I2 = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
H32 = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"


def test_no_character_set_is_ascii() -> None:
    assert parse_character_sets(b"") == ()
    assert parse_character_sets(b"  ") == ()
    assert decode_text(b"Testa^Anna ", "PN", ()) == "Testa^Anna"


def test_terms_keep_their_order_and_lose_their_padding() -> None:
    assert parse_character_sets(b"\\ISO 2022 IR 87 ") == ("", "ISO 2022 IR 87")
    assert len(parse_character_sets(b"A\\" * 500)) == 16


@pytest.mark.parametrize(
    ("raw", "terms", "text"),
    [
        (b"J\xf6rg", ("ISO_IR 100",), "Jörg"),
        ("Jörg".encode(), ("ISO_IR 192",), "Jörg"),
        ("山田^太郎".encode(), ("ISO_IR 192",), "山田^太郎"),
        ("王^小东".encode("gb18030"), ("GB18030",), "王^小东"),
        ("王^小东".encode("gbk"), ("GBK",), "王^小东"),
        ("Люкceмбypг".encode("iso8859_5"), ("ISO_IR 144",), "Люкceмбypг"),
        (b"\xcf\xc0", ("ISO_IR 13",), "\uff8f\uff80"),
        (I2, ("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동"),
        (H31, JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (
            H32,
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            "\uff94\uff8f\uff80\uff9e^\uff80\uff9b\uff73=山田^太郎=やまだ^たろう",
        ),
        (b"Wang=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1", ("", "ISO 2022 IR 58"), "Wang=王^小"),
        (b"Buc^J\xe9r\xf4me=\x1b-LQ\xd0", ("ISO 2022 IR 100", "ISO 2022 IR 144"), "Buc^Jérôme=Qа"),
        (b"\x1b$(D0!\x1b(B", ("", "ISO 2022 IR 159"), "丂"),
    ],
)
def test_names_of_the_world_are_read(raw: bytes, terms: tuple[str, ...], text: str) -> None:
    assert decode_text(raw, "PN", terms) == text


@pytest.mark.parametrize("term", ["ISO IR 100", "ISO-IR 100", "iso_ir_100", "ISO_IR100"])
def test_misspelt_terms_are_understood(term: str) -> None:
    assert decode_text(b"J\xf6rg", "PN", (term,)) == "Jörg"
    assert decode_text(I2, "PN", ("", "ISO-2022-IR-149")).endswith("홍^길동")


@pytest.mark.parametrize("terms", [(), ("NONSENSE",), ("ISO_IR 6",), ("ISO_IR 999",), ("../../etc",)])
def test_undeclared_or_unknown_text_is_read_as_it_mostly_is(terms: tuple[str, ...]) -> None:
    assert decode_text(b"J\xf6rg", "PN", terms) == "Jörg"
    assert decode_text("Jörg".encode(), "PN", terms) == "Jörg"


def test_a_wrong_declaration_falls_back() -> None:
    assert decode_text(b"J\xf6rg", "PN", ("ISO_IR 192",)) == "Jörg"


def test_a_character_set_forgotten_after_a_delimiter_still_counts() -> None:
    assert decode_text(b"=\x1b$)C\xfb\xf3^\xd1\xce", "PN", ("", "ISO 2022 IR 149")) == "=洪^吉"


def test_a_delimiter_brings_the_first_character_set_back() -> None:
    raw = b"\x1b-L\xd0^\xe9"
    assert decode_text(raw, "PN", ("ISO 2022 IR 100", "ISO 2022 IR 144")) == "а^é"
    assert decode_text(b"\x1b-L\xd0\\\xe9", "LO", ("ISO 2022 IR 100", "ISO 2022 IR 144")) == "а\\é"


def test_text_is_composed() -> None:
    assert decode_text("Jo\u0308rg".encode(), "PN", ("ISO_IR 192",)) == "Jörg"


def test_control_characters_never_reach_a_terminal() -> None:
    assert decode_text(b"Testa\x1b[2J^A\x07nna\0", "PN", ()) == "Testa[2J^Anna"
    assert "\x9b" not in decode_text("Te\x9bst".encode(), "LO", ("ISO_IR 192",))
    assert decode_text(b"line\r\nnext\x07 ", "LT", ()) == "line\r\nnext"


def test_padding_goes_from_every_value() -> None:
    assert decode_text(b" A \\B \\ C", "LO", ()) == "A\\B\\C"
    assert decode_text(b" A\\B ", "LT", ()) == " A\\B"
    assert decode_text(b"1.2.3\0", "UI", ()) == "1.2.3"


@given(st.binary(max_size=64), st.lists(st.text(max_size=20), max_size=3))
def test_decoding_never_fails(raw: bytes, terms: list[str]) -> None:
    for vr in ("PN", "LO", "LT"):
        text = decode_text(raw, vr, tuple(terms))
        assert "\x1b" not in text
        text.encode("utf-8")


@given(
    st.lists(
        st.sampled_from([b"\x1b$B", b"\x1b(B", b"\x1b)I", b"\x1b$)C", b"^", b"=", b"\\", b"\xb1", b"A"]),
        max_size=12,
    )
)
def test_escape_sequences_in_any_order_never_fail(pieces: list[bytes]) -> None:
    assert "\x1b" not in decode_text(b"".join(pieces), "PN", ("ISO 2022 IR 13", "ISO 2022 IR 87"))


@pytest.mark.parametrize(
    ("texts", "requested", "chosen"),
    [
        (["Anna"], (), ()),
        (["Anna"], ("ISO_IR 100",), ("ISO_IR 100",)),
        (["Anna"], ("NONSENSE",), ()),
        (["Jörg"], (), ("ISO_IR 100",)),
        (["Jörg"], ("ISO_IR 192",), ("ISO_IR 192",)),
        (["Jörg"], ("ISO_IR 144",), ("ISO_IR 100",)),
        (["Jörg", "山田"], ("ISO_IR 100",), ("ISO_IR 192",)),
        (["山田"], JAPANESE, JAPANESE),
        (["山田", "Jörg"], JAPANESE, ("ISO_IR 192",)),
        (["山田"], ("ISO 2022 IR 87",), ("ISO_IR 192",)),
        (["ﾔﾏﾀﾞ"], ("ISO_IR 13",), ("ISO_IR 13",)),
        (["山田"], ("ISO_IR 13",), ("ISO_IR 192",)),
        (["王"], ("GB18030", "ISO 2022 IR 87"), ("GB18030", "ISO 2022 IR 87")),
        (["丂"], ("", "ISO 2022 IR 159"), ("ISO_IR 192",)),
    ],
)
def test_the_narrowest_character_set_that_loses_nothing(
    texts: list[str], requested: tuple[str, ...], chosen: tuple[str, ...]
) -> None:
    assert choose_character_set(texts, requested) == chosen


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Yamada^Tarou=山田^太郎", JAPANESE),
        ("ﾔﾏﾀﾞ=山田^太郎", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
        ("山田=ﾔﾏﾀﾞ", ("", "ISO 2022 IR 87", "ISO 2022 IR 13")),
        ("山田", ("", "ISO 2022 IR 13", "ISO 2022 IR 87")),
        ("Hong=洪^吉洞", ("", "ISO 2022 IR 149")),
        ("Wang=王^小", ("", "ISO 2022 IR 58")),
        ("Jérôme=Люк", ("ISO 2022 IR 100", "ISO 2022 IR 144")),
        ("Jörg", ("ISO_IR 192",)),
    ],
)
def test_what_is_written_is_read_again(text: str, terms: tuple[str, ...]) -> None:
    assert decode_text(encode_text(text, "PN", terms), "PN", terms) == text


def test_g0_goes_back_to_where_the_first_term_has_it() -> None:
    assert encode_text("ﾔ=山", "PN", ("ISO 2022 IR 13", "ISO 2022 IR 87")).endswith(b"\x1b(J")


def test_what_a_character_set_cannot_hold_becomes_a_question_mark() -> None:
    assert encode_text("Jörg 山", "LO", ("ISO_IR 100",)) == b"J\xf6rg ?"
    assert encode_text("Jörg", "LO", ()) == b"J?rg"
    assert encode_text("Jörg", "LO", ("NONSENSE",)) == b"J?rg"
    assert encode_text("山ö", "LO", JAPANESE) == b"??"


@given(st.lists(st.text(max_size=12), max_size=4), st.sampled_from([(), ("ISO_IR 100",), JAPANESE, ("GBK",)]))
def test_a_chosen_character_set_holds_every_text(texts: list[str], requested: tuple[str, ...]) -> None:
    terms = choose_character_set(texts, requested)
    for text in texts:
        plain = decode_text(text.encode("utf-8", "replace"), "LO", ("ISO_IR 192",))
        if plain == text:
            assert decode_text(encode_text(text, "LO", terms), "LO", terms) == text
