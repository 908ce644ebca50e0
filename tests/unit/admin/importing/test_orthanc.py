from __future__ import annotations

import json
from pathlib import Path

import pytest

from leadglass.admin.importing.found import Outcome, SourceInvalid
from leadglass.admin.importing.orthanc import MAX_FILES, read_orthanc
from leadglass.admin.importing.proposal import Proposal, propose
from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid
from tests.support.imports import LAST_DAY, NOW, ORTHANC, about, allows, left_out, policy_of

VERBS = ("echo", "store", "find", "get", "move")


def proposed(tmp_path: Path, **settings: object) -> Proposal:
    path = tmp_path / "orthanc.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return propose(read_orthanc(path), path.name, NOW)


@pytest.fixture(scope="module")
def practice() -> Proposal:
    return propose(read_orthanc(ORTHANC), "orthanc.json", NOW)


def test_only_what_is_written_as_allowed_is_permitted_and_echo(practice: Proposal) -> None:
    policy = policy_of(practice)
    permitted = {
        (device, verb) for device in policy.devices for verb in VERBS if allows(policy, f"{device} {verb}")
    }
    assert permitted == {
        ("ct-room-1", "echo"),
        ("us1", "echo"),
        ("us1", "store"),
        ("ws1", "echo"),
        ("ws1", "find"),
        ("ws1", "move"),
        ("night", "echo"),
        ("archive-2", "echo"),
    }


def test_nothing_is_sent_that_no_file_names(practice: Proposal) -> None:
    policy = policy_of(practice)
    assert not any(allows(policy, f"archive store {device}") for device in policy.devices)
    assert about(practice.remarks, "sending to DicomModalities").outcome is Outcome.NARROWED


def test_a_device_is_pinned_to_its_address_in_a_zone_of_such_addresses(practice: Proposal) -> None:
    policy = policy_of(practice)
    assert str(policy.devices["us1"].ip) == "10.20.9.5"
    assert str(policy.devices["us1"].address) == "10.20.9.5:104"
    plain = policy.zones["imported-plain"]
    assert {str(network) for network in plain.networks} == {"10.20.1.5/32", "10.20.9.5/32", "fd00::5/128"}
    assert plain.review is not None
    assert plain.review.last_day == LAST_DAY
    assert policy.zones["imported-mtls"].transports == {Transport.MTLS}


def test_a_partner_outside_needs_tls_and_loses_its_rules_one_day(practice: Proposal) -> None:
    policy = policy_of(practice)
    assert policy.devices["night"].zone == "imported-outside"
    assert allows(policy, f"night echo archive at={LAST_DAY}T12:00")
    assert not allows(policy, "night echo archive at=2027-02-26T12:00")


def test_what_would_have_to_be_guessed_is_left_out_with_what_to_do(practice: Proposal) -> None:
    reasons = {
        '"outside"': "give it TLS",
        '"by name"': "names are not resolved",
        '"twin-a"': "claimed by 2",
        '"twin-b"': "claimed by 2",
        '"by environment"': "write the value itself",
    }
    for symbol, reason in reasons.items():
        remark = about(practice.remarks, f"DicomModalities.{symbol}")
        assert remark.outcome is Outcome.LEFT_OUT
        assert reason in remark.why
    assert practice.is_partial
    assert {"RegisteredUsers", "OrthancPeers", "LuaScripts"} < left_out(practice.remarks)


def test_each_permission_that_was_open_by_default_is_told(practice: Proposal) -> None:
    remark = about(practice.remarks, 'DicomModalities."CT Room 1"')
    assert remark.where == "orthanc.json:17"
    assert remark.outcome is Outcome.NARROWED
    assert "store, find, get, move, worklist, commit" in remark.why
    assert "zones allow ct-room-1 store" in remark.why


def test_a_no_that_had_no_effect_has_one(practice: Proposal) -> None:
    remark = about(practice.remarks, 'DicomModalities."us1"."AllowFind"')
    assert (remark.where, remark.outcome) == ("orthanc.json:24", Outcome.NARROWED)
    assert '"us1 find archive"' in practice.text


def test_no_password_and_no_user_is_in_what_is_made(practice: Proposal) -> None:
    made = practice.text + repr(practice.remarks)
    assert not [word for word in ("open-sesame", "peer-password", "alice", "bob") if word in made]


@pytest.mark.parametrize(
    ("setting", "value", "outcome"),
    [
        ("DicomCheckModalityHost", True, Outcome.TAKEN),
        ("DicomCheckCalledAet", True, Outcome.TAKEN),
        ("DicomAlwaysAllowStore", False, Outcome.TAKEN),
        ("DicomAlwaysAllowMove", True, Outcome.NARROWED),
        ("DicomAlwaysAllowEcho", "${ANYBODY}", Outcome.NARROWED),
        ("DicomTlsEnabled", True, Outcome.TAKEN),
        ("RemoteAccessAllowed", True, Outcome.NARROWED),
        ("Authorization", {"WebService": "http://x"}, Outcome.LEFT_OUT),
        ("Worklists", {"Enable": True}, Outcome.LEFT_OUT),
        ("SomePlugin", {"Open": True}, Outcome.LEFT_OUT),
        ("DicomModalities", ["CT1"], Outcome.LEFT_OUT),
    ],
)
def test_a_setting_is_reported_as_what_became_of_it(
    tmp_path: Path, setting: str, value: object, outcome: Outcome
) -> None:
    made = proposed(tmp_path, **{setting: value})
    assert about(made.remarks, setting).outcome is outcome
    assert made.is_partial is (outcome is Outcome.LEFT_OUT)


def test_a_switched_off_plugin_and_strict_titles_are_nothing_to_tell(tmp_path: Path) -> None:
    made = proposed(tmp_path, Worklists={"Enable": False}, StrictAetComparison=True)
    assert not {remark.what for remark in made.remarks} & {"Worklists", "StrictAetComparison"}
    assert not made.is_partial


def test_tls_without_certificates_becomes_tls_with_them(tmp_path: Path) -> None:
    made = proposed(
        tmp_path,
        DicomTlsEnabled=True,
        DicomTlsRemoteCertificateRequired=False,
        DicomModalities={"ct1": ["CT1", "10.0.0.5", 104]},
    )
    assert about(made.remarks, "DicomTlsRemoteCertificateRequired").outcome is Outcome.NARROWED
    assert policy_of(made).devices["ct1"].zone == "imported-mtls"
    assert "device renew ct1" in made.text


def test_modalities_of_the_database_are_not_taken_from_the_file(tmp_path: Path) -> None:
    modalities = {"ct1": ["CT1", "10.0.0.5", 104]}
    made = proposed(tmp_path, DicomModalitiesInDatabase=True, DicomModalities=modalities)
    assert policy_of(made).devices == {}
    assert "DicomModalities" in left_out(made.remarks)


def test_an_orthanc_without_dicom_gives_nobody_a_flow(tmp_path: Path) -> None:
    entry = {"AET": "CT1", "Host": "10.0.0.5", "Port": 104, "AllowStore": True}
    made = proposed(tmp_path, DicomServerEnabled=False, DicomModalities={"ct1": entry})
    assert set(policy_of(made).devices) == {"ct1"}
    assert policy_of(made).flows == {}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("CT1", "neither"),
        (["CT1", "10.0.0.5"], "neither"),
        ({"Host": "10.0.0.5", "Port": 104}, "no AET"),
        ({"AET": "CT1", "Port": 104}, "no Host"),
        (["CT*", "10.0.0.5", 104], "wildcard"),
        (["A" * 17, "10.0.0.5", 104], "not an AE title"),
        (["CT1", "224.0.0.1", 104], "no single machine"),
        (["CT1", "localhost", 104], "names are not resolved"),
        (["CT1", "${HOST}", 104], "write the value itself"),
    ],
)
def test_an_entry_that_is_no_device_is_left_out(tmp_path: Path, entry: object, why: str) -> None:
    made = proposed(tmp_path, DicomModalities={"x": entry})
    assert policy_of(made).devices == {}
    assert why in about(made.remarks, 'DicomModalities."x"').why


@pytest.mark.parametrize(
    ("more", "granted"),
    [
        ({"AllowStorageCommitment": True}, {Verb.ECHO, Verb.COMMIT}),
        ({"AllowStorageCommitment": True, "AllowNAction": False}, {Verb.ECHO}),
        ({"AllowFindWorklist": True, "AllowEcho": False}, {Verb.WORKLIST}),
        ({"AllowGet": "true"}, {Verb.ECHO}),
    ],
)
def test_words_of_an_entry_grant_what_they_name(
    tmp_path: Path, more: dict[str, object], granted: set[Verb]
) -> None:
    entry = {"AET": "CT1", "Host": "10.0.0.5", "Port": 104, **more}
    made = proposed(tmp_path, DicomModalities={"x": entry})
    assert policy_of(made).flows["in-x"].can == granted


def test_what_an_entry_says_beyond_this_is_named(tmp_path: Path) -> None:
    entry = {"AET": "CT1", "Host": "10.0.0.5", "Port": 0, "LocalAet": "ME", "AllowAll": True, "AllowGet": 1}
    made = proposed(tmp_path, DicomModalities={"x": entry})
    named = {f'DicomModalities."x".{key}' for key in ('"LocalAet"', '"AllowAll"', '"AllowGet"')}
    assert left_out(made.remarks) == {*named, 'DicomModalities."x" port'}
    assert policy_of(made).devices["x"].address is None


def test_a_folder_is_read_as_one_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{ "DicomAet" : "NORTH" }', encoding="utf-8")
    (tmp_path / "b.json").write_text(
        '{ "DicomModalities" : { "x" : ["X", "10.0.0.1", 1] } }', encoding="utf-8"
    )
    (tmp_path / "notes.txt").write_text("not read", encoding="utf-8")
    found = read_orthanc(tmp_path)
    assert [(device.where, device.titles) for device in found.devices] == [("b.json:1", ("X",))]


def test_two_files_that_set_the_same_are_refused_as_orthanc_does(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{ "DicomAet" : "NORTH" }', encoding="utf-8")
    (tmp_path / "b.json").write_text('{\n"DicomAet" : "SOUTH" }', encoding="utf-8")
    with pytest.raises(SourceInvalid, match=r'b\.json:2: "DicomAet" is set in a\.json:1 too'):
        read_orthanc(tmp_path)


def test_a_folder_without_or_with_too_many_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"has no \*\.json"):
        read_orthanc(tmp_path)
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match="more than 64 files"):
        read_orthanc(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"[]", "is an object"), (b"{\n\xff}", r"orthanc\.json:2: not UTF-8"), (b" " * (1 << 21), "too large")],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "orthanc.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match=says):
        read_orthanc(path)
