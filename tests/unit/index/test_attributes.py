from __future__ import annotations

import pytest

from leadglass.dataset import tags
from leadglass.index.attributes import decode_attributes, encode_attributes, json_name
from leadglass.model.errors import IntegrityBroken
from leadglass.model.query import Level


def test_only_the_level_s_own_attributes_are_kept() -> None:
    received = {tags.PATIENT_NAME: "Doe^Jane", tags.STUDY_DESCRIPTION: "HEAD", tags.INSTANCE_NUMBER: "1"}
    assert decode_attributes(encode_attributes(Level.STUDY, received)) == {
        json_name(tags.STUDY_DESCRIPTION): "HEAD"
    }


def test_absent_and_empty_attributes_take_no_room() -> None:
    assert encode_attributes(Level.STUDY, {tags.STUDY_DESCRIPTION: ""}) == "{}"


def test_folded_forms_stand_beside_several_values() -> None:
    written = decode_attributes(encode_attributes(Level.SERIES, {tags.OPERATORS_NAME: "Roe^R\\Poe^P=ポー"}))
    assert written == {"00081070": ["Roe^R", "Poe^P=ポー"], "00081070~": ["roe^r", "poe^p", "ポー"]}


def test_damaged_text_is_named() -> None:
    with pytest.raises(IntegrityBroken):
        decode_attributes("{")
