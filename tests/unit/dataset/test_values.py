from __future__ import annotations

import pytest

from leadglass.dataset.values import value_bytes, value_text


@pytest.mark.parametrize(
    ("raw", "vr", "text"),
    [
        (b"\x00\x02", "US", "512"),
        (b"\x00\x02\x01\x00\xff", "US", "512\\1"),
        (b"\xff\xff", "SS", "-1"),
        (b"\xff\xff\xff\xff", "UL", "4294967295"),
        (b"\x00\x00\x80\x3f", "FL", "1.0"),
        (b"\x63\x10\x18\x00"[2:] + b"\x63\x10", "AT", "00181063"),
        (b"\x00\x02", "US or SS", "512"),
        (b"abc", "OB", ""),
        (b"abc", "UN", ""),
        (b"CT ", "CS", "CT"),
        (b"", "PN", ""),
    ],
)
def test_values_as_text(raw: bytes, vr: str, text: str) -> None:
    assert value_text(raw, vr, "<", ()) == text


def test_big_endian_numbers() -> None:
    assert value_text(b"\x02\x00", "US", ">", ()) == "512"
    assert value_text(b"\x00\x18\x10\x63", "AT", ">", ()) == "00181063"


@pytest.mark.parametrize(
    ("text", "vr", "raw"),
    [
        ("512\\1", "US", b"\x00\x02\x01\x00"),
        ("-1", "SS", b"\xff\xff"),
        ("1", "FD", b"\x00\x00\x00\x00\x00\x00\xf0\x3f"),
        ("00181063", "AT", b"\x18\x00\x63\x10"),
        ("1.2", "UI", b"1.2\0"),
        ("CT1", "CS", b"CT1 "),
        ("1.5", "DS", b"1.5 "),
        ("abc", "OB", b""),
        ("", "US", b""),
        ("abc", "SQ", b""),
    ],
)
def test_text_as_values_of_even_length(text: str, vr: str, raw: bytes) -> None:
    assert value_bytes(text, vr, ()) == raw


@pytest.mark.parametrize(
    ("text", "vr"), [("x", "US"), ("70000", "US"), ("-1", "UL"), ("x", "FD"), ("1e99", "FL"), ("xx", "AT")]
)
def test_what_is_no_number_is_refused(text: str, vr: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        value_bytes(text, vr, ())
