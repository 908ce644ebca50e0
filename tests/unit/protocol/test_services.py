from __future__ import annotations

from pydicom._uid_dict import UID_dictionary
from pynetdicom import sop_class

from leadglass.model import storage_classes
from leadglass.model.action import Verb
from leadglass.model.names import Uid, parse_uid
from leadglass.protocol import services
from leadglass.protocol import transfer_syntaxes as ts


def test_every_abstract_syntax_belongs_to_one_service() -> None:
    uids = [uid for service in services.SERVICES for uid, _ in service.sop_classes]
    assert len(uids) == len(set(uids))
    assert all(parse_uid(uid) == uid for uid in uids)


def test_services_are_found_by_their_abstract_syntax() -> None:
    found = services.service_of(Uid("1.2.840.10008.5.1.4.1.1.2"))
    assert found is not None
    assert found.verb is Verb.STORE
    assert services.service_of(Uid("1.2.840.10008.5.1.4.31")) is None


def test_storage_covers_what_another_implementation_knows() -> None:
    ours = {uid for uid, _ in storage_classes.STORAGE_CLASSES}
    assert set(sop_class._STORAGE_CLASSES.values()) <= ours


def test_the_retired_classes_of_old_devices_are_taken() -> None:
    retired = {uid for uid, _ in storage_classes.RETIRED}
    assert {f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("3", "5", "6", "12.3")} <= retired


def test_names_are_those_of_the_registry() -> None:
    for uid, name in storage_classes.STORAGE_CLASSES:
        if uid in UID_dictionary:
            assert UID_dictionary[uid][0].removesuffix(" SOP Class") == name
            assert bool(UID_dictionary[uid][3]) is ((uid, name) in storage_classes.RETIRED)


def test_every_transfer_syntax_of_the_registry_is_known() -> None:
    registered = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    assert registered <= ts.BY_UID.keys()
    for uid in registered:
        assert ts.BY_UID[Uid(uid)].name == UID_dictionary[uid][0]


def test_streams_and_documents_are_not_storable() -> None:
    unsuitable = {syntax.uid for syntax in ts.TRANSFER_SYNTAXES if not syntax.storable}
    assert unsuitable == {
        "1.2.840.10008.1.2.6.1",
        "1.2.840.10008.1.2.6.2",
        "1.2.840.10008.1.2.7.1",
        "1.2.840.10008.1.2.7.2",
        "1.2.840.10008.1.2.7.3",
        "1.2.840.10008.1.20",
    }
    assert ts.STORABLE.isdisjoint(unsuitable)
    assert ts.EXPLICIT_VR_BIG_ENDIAN in ts.STORABLE
    assert ts.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN in ts.STORABLE
