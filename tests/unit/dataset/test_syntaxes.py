from __future__ import annotations

import pytest

from leadglass.dataset.syntaxes import dictionary_vr, layout_of, name_of_tag
from leadglass.model.names import Uid


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00100010, "PN"),
        (0x00080000, "UL"),
        (0x00090010, "LO"),
        (0x00091001, "UN"),
        (0x60023000, "OB or OW"),
        (0x00280106, "US or SS"),
        (0x7FE00010, "OB or OW"),
        (0x0010FFFF, "UN"),
    ],
)
def test_vr_by_tag(tag: int, vr: str) -> None:
    assert dictionary_vr(tag) == vr


def test_layouts_by_transfer_syntax() -> None:
    assert not layout_of(Uid("1.2.840.10008.1.2")).explicit
    assert not layout_of(Uid("1.2.840.113619.5.2")).explicit
    assert layout_of(Uid("1.2.840.10008.1.2.2")).order == ">"
    assert layout_of(Uid("1.2.840.10008.1.2.4.50")).explicit


def test_tags_are_named_as_the_standard_writes_them() -> None:
    assert name_of_tag(0x7FE00010) == "(7FE0,0010)"
