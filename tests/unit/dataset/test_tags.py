from __future__ import annotations

from pydicom.datadict import dictionary_VR, keyword_for_tag

from leadglass.dataset import tags
from leadglass.model.query import Level


def test_every_tag_is_what_the_dictionary_says() -> None:
    for entry in tags.BY_TAG.values():
        assert keyword_for_tag(entry.tag) == entry.keyword
        assert dictionary_VR(entry.tag) == entry.vr


def test_no_tag_stands_twice() -> None:
    assert len(tags.BY_TAG) == len(tags.INDEX_TAGS) + len(tags.COMPUTED_TAGS)


def test_every_level_has_its_unique_key() -> None:
    for level in Level:
        assert tags.BY_TAG[tags.UNIQUE_KEYS[level]].level is level
