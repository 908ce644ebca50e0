from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.admin.importing.dcm4chee import read_dcm4chee
from leadglass.admin.importing.found import Outcome
from leadglass.admin.importing.proposal import Proposal, propose
from leadglass.model.errors import ConfigurationInvalid
from tests.support.imports import DCM4CHEE, NOW, about, allows, left_out, policy_of

TEXT = DCM4CHEE.read_text(encoding="utf-8")
TREE = "cn=Devices,cn=DICOM Configuration,dc=dcm4che,dc=org"
VERBS = ("echo", "store", "find", "get", "move")
ASKED = {"store": "store archive sop_class=CTImageStorage"}
LISTED = "dicomPreferredCallingAETitle: CT1\n"
CT1 = "dicomAETitle: CT1\n"
ARCHIVE = "dcmKeyStorePin: secret-pin\n"


def proposed(tmp_path: Path, text: str) -> Proposal:
    path = tmp_path / "dcm4chee.ldif"
    path.write_text(text, encoding="utf-8")
    return propose(read_dcm4chee(path), path.name, NOW)


def permitted(made: Proposal) -> set[tuple[str, str]]:
    policy = policy_of(made)
    return {
        (name, verb)
        for name in policy.devices
        for verb in VERBS
        if allows(policy, f"{name} {ASKED.get(verb, verb)}")
    }


@pytest.fixture(scope="module")
def site() -> Proposal:
    return propose(read_dcm4chee(DCM4CHEE), "dcm4chee.ldif", NOW)


def test_an_ae_may_do_what_it_says_it_does_and_the_archive_offers(site: Proposal) -> None:
    assert permitted(site) == {("ct1", "echo"), ("ct1", "store"), ("ws1", "echo"), ("ws1", "find")}
    assert "find, move; open one with: zones allow ct1 find" in about(site.remarks, 'AE "CT1" of "ct1"').why


def test_a_store_is_bound_to_the_classes_that_both_sides_name(site: Proposal) -> None:
    policy = policy_of(site)
    assert allows(policy, "ct1 store archive sop_class=CTImageStorage")
    assert not allows(policy, "ct1 store archive sop_class=MRImageStorage")  # the archive's alone
    assert not allows(policy, "ct1 store archive sop_class=XRayRadiationDoseSRStorage")  # the device's alone


def test_an_export_rule_is_a_flow_for_its_modalities(site: Proposal) -> None:
    policy = policy_of(site)
    assert allows(policy, "archive store storescp modality=MR")
    assert not allows(policy, "archive store storescp modality=US")
    assert not allows(policy, "archive store ws1 modality=CT")


def test_tls_is_taken_before_plaintext(site: Proposal) -> None:
    device = policy_of(site).devices["ws1"]
    assert (device.zone, str(device.address)) == ("imported-mtls", "10.20.3.11:2762")
    lost = about(site.remarks, 'AE "WS1" of "ws1" its connection to "10.20.3.11", plain')
    assert lost.outcome is Outcome.NARROWED


def test_an_empty_list_of_callers_is_told_as_the_open_door_it_was(site: Proposal) -> None:
    remark = about(site.remarks, 'archive AE "DCM4CHEE" dcmAcceptedCallingAETitle')
    assert remark.outcome is Outcome.NARROWED
    assert "let everybody in" in remark.why


def test_what_else_is_in_the_tree_is_counted_and_no_secret_is_told(site: Proposal) -> None:
    assert left_out(site.remarks) == {"1 hl7application"}
    assert about(site.remarks, 'other entries: 1 "dcmqueue"').outcome is Outcome.ELSEWHERE
    assert "secret-pin" not in site.text + repr(site.remarks)
    assert policy_of(site).devices["ct1"].inventory.vendor == "Schubert GmbH"


def test_who_is_not_on_the_list_of_callers_gets_no_flow(tmp_path: Path) -> None:
    made = proposed(tmp_path, TEXT.replace(LISTED, "dcmAcceptedCallingAETitle: WS1\n"))
    assert permitted(made) == {("ws1", "echo"), ("ws1", "find")}
    assert "let it in" in next(r.why for r in made.remarks if r.what == 'AE "CT1" of "ct1"')


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("dcmAccessControlID: Customer1\n", {("ws1", "find")}),
        ("dcmStorePermissionServiceURL: http://x\n", {("ct1", "store")}),
        ("dcmUserIdentityNegotiation: REQUIRED\n", {(n, v) for n in ("ct1", "ws1") for v in VERBS}),
    ],
)
@pytest.mark.parametrize("place", [LISTED, ARCHIVE])
def test_a_condition_that_a_policy_cannot_hold_takes_the_verb_with_it(
    tmp_path: Path, site: Proposal, line: str, gone: set[tuple[str, str]], place: str
) -> None:
    made = proposed(tmp_path, TEXT.replace(place, line))
    assert permitted(made) == permitted(site) - gone
    assert any(line.partition(":")[0] in what for what in left_out(made.remarks))


def test_a_move_destination_that_is_named_may_be_sent_to(tmp_path: Path) -> None:
    made = proposed(tmp_path, TEXT.replace(LISTED, "dcmAcceptedMoveDestination: WS1\n"))
    assert allows(policy_of(made), "archive store ws1 modality=US")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dcmProperty: Modality=CT|MR", "dcmProperty: SendingApplicationEntityTitle=CT1"),
        ("dcmProperty: Modality=CT|MR", "dcmProperty: Modality=CT\ndcmProperty: Modality=MR"),
        ("dcmProperty: Modality=CT|MR", "dcmSchedule: hour=18-6"),
        ("dcmProperty: Modality=CT|MR", "dcmProperty: Modality=.*"),
        ("dcmURI: dicom:STORESCP", "dcmURI: stow:somewhere"),
        ("dcmURI: dicom:STORESCP", "dcmURI: dicom:NOBODY"),
        ("dicomPort: 11115", "dicomPort: -1"),
    ],
)
def test_an_export_that_a_flow_cannot_say_is_left_out(tmp_path: Path, old: str, new: str) -> None:
    made = proposed(tmp_path, TEXT.replace(old, new))
    assert not allows(policy_of(made), "archive store storescp modality=CT")
    assert 'export rule "Forward to STORESCP"' in left_out(made.remarks)


def test_an_exporter_that_no_rule_uses_gives_nobody_anything(tmp_path: Path) -> None:
    made = proposed(tmp_path, TEXT.replace("objectClass: dcmExportRule", "objectClass: dcmQueue"))
    assert about(made.remarks, 'exporter "STORESCP"').outcome is Outcome.NARROWED
    assert not allows(policy_of(made), "archive store storescp modality=CT")


def test_an_export_rule_of_one_ae_of_the_archive_is_left_out(tmp_path: Path) -> None:
    dn = f"dn: cn=r,dicomAETitle=DCM4CHEE,dicomDeviceName=dcm4chee-arc,{TREE}"
    rule = f"{dn}\nobjectClass: dcmExportRule\ncn: r\n"
    made = proposed(tmp_path, f"{TEXT}\n{rule}")
    assert 'export rule "r"' in left_out(made.remarks)


@pytest.mark.parametrize("line", ["dicomInstalled: FALSE\n", "dicomNetworkConnectionReference: nonsense\n"])
def test_what_is_out_of_use_or_nowhere_is_no_device(tmp_path: Path, line: str) -> None:
    changed = TEXT.replace(CT1, CT1 + line)
    if "Reference" in line:
        reference = f"dicomNetworkConnectionReference: cn=dicom,dicomDeviceName=ct1,{TREE}\n"
        changed = changed.replace(reference, "")
    made = proposed(tmp_path, changed)
    assert set(policy_of(made).devices) == {"ws1", "storescp"}
    assert about(made.remarks, 'AE "CT1" of "ct1"').outcome in (Outcome.ELSEWHERE, Outcome.LEFT_OUT)


def test_a_device_out_of_use_is_no_device(tmp_path: Path) -> None:
    made = proposed(
        tmp_path,
        TEXT.replace(
            "dicomInstalled: TRUE\n\ndn: cn=dicom,dicomDeviceName=ct1",
            "dicomInstalled: FALSE\n\ndn: cn=dicom,dicomDeviceName=ct1",
        ),
    )
    assert set(policy_of(made).devices) == {"ws1", "storescp"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("objectClass: dcmArchiveDevice\n", ""),
        ("dicomAssociationAcceptor: TRUE", "dicomAssociationAcceptor: FALSE"),
    ],
)
def test_without_an_archive_that_takes_associations_nobody_gets_a_flow(
    tmp_path: Path, old: str, new: str
) -> None:
    assert permitted(proposed(tmp_path, TEXT.replace(old, new))) == set()


def test_capabilities_are_shared_between_aes_of_a_device_and_with_nobody_else(tmp_path: Path) -> None:
    second = (
        f"dn: dicomAETitle=CT1Q,dicomDeviceName=ct1,{TREE}\nobjectClass: dicomNetworkAE\ndicomAETitle: CT1Q\n"
        f"dicomNetworkConnectionReference: cn=dicom,dicomDeviceName=ct1,{TREE}\n"
        "dcmShareTransferCapabilitiesFromAETitle: {}\n\n"
    )
    joined = policy_of(proposed(tmp_path, f"{TEXT}\n{second.format('CT1')}"))
    assert set(joined.devices["ct1"].ae) == {"CT1", "CT1Q"}
    apart = proposed(tmp_path, f"{TEXT}\n{second.format('WS1')}")
    assert {name for name, verb in permitted(apart) if verb == "store"} == {"ct1-ct1"}
    assert ("ct1-ct1q", "echo") in permitted(apart)


def test_an_archive_that_offers_any_class_offers_what_the_device_names(
    tmp_path: Path, site: Proposal
) -> None:
    wild = TEXT.replace(
        "dicomSOPClass: 1.2.840.10008.1.1\ndicomTransferRole: SCP", "dicomSOPClass: *\ndicomTransferRole: SCP"
    )
    made = proposed(tmp_path, wild)
    assert permitted(made) == permitted(site)
    assert "get" in about(made.remarks, 'AE "CT1" of "ct1"').why


def test_a_device_that_speaks_no_dicom_and_other_titles_are_told(tmp_path: Path) -> None:
    syslog = f"dn: dicomDeviceName=syslog,{TREE}\nobjectClass: dicomDevice\ndicomDeviceName: syslog\n\n"
    made = proposed(tmp_path, TEXT.replace(CT1, CT1 + "dcmOtherAETitle: CT1B\n") + "\n" + syslog)
    assert about(made.remarks, 'device "syslog"').outcome is Outcome.ELSEWHERE
    assert 'AE "CT1" of "ct1" dcmOtherAETitle' in left_out(made.remarks)


def test_a_file_without_devices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="has no dicomDevice"):
        proposed(tmp_path, "dn: dc=org\ndc: org\n")
