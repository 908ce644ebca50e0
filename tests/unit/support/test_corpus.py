"""The yardstick itself is measured: a lock update that changes the corpus must be seen."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.corpus import Source, Unstorable, corpus, corpus_file, is_deflated, storable, waves


def test_the_corpus_holds_the_files_of_both_packages() -> None:
    assert Counter(file.source for file in corpus()) == {Source.PYDICOM: 188, Source.PYDICOM_DATA: 67}


def test_every_unstorable_file_has_its_reason() -> None:
    assert Counter(file.unstorable for file in corpus()) == {
        None: 227,
        Unstorable.DICOMDIR: 8,
        Unstorable.NOT_OF_A_STUDY: 12,
        Unstorable.NO_SOP_UIDS: 7,
        Unstorable.NO_TRANSFER_SYNTAX: 1,
    }


def test_big_endian_deflated_and_compressed_files_are_among_them() -> None:
    syntaxes = Counter(file.transfer_syntax for file in storable())
    assert len(syntaxes) == 11
    assert syntaxes["1.2.840.10008.1.2.2"] == 18
    assert [file.name for file in storable() if is_deflated(file)] == ["pydicom/test_files/image_dfl.dcm"]


def test_names_are_unique() -> None:
    assert len({file.name for file in corpus()}) == len(corpus())


def test_dataset_bytes_begin_behind_the_meta_group() -> None:
    file = corpus_file("CT_small.dcm")
    content = file.path.read_bytes()
    assert content.endswith(file.dataset_bytes())
    assert file.dataset_bytes()[:4] == b"\x08\x00\x05\x00"
    assert b"\x02\x00\x10\x00UI" in content[: -len(file.dataset_bytes())]


def test_a_meta_group_without_its_length_is_measured_too() -> None:
    assert corpus_file("no_meta_group_length.dcm").dataset_bytes()[:2] != b"\x02\x00"


def test_each_wave_has_an_instance_once_and_none_is_lost() -> None:
    grouped = waves()
    assert all(len({file.sop_instance for file in wave}) == len(wave) for wave in grouped)
    assert len(grouped[0]) == 152
    assert sum(len(wave) for wave in grouped) == 227


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(LookupError):
        corpus_file("no such file")
