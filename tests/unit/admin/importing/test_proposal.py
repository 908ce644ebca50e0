"""Whatever a source says, what is made of it loads, and permits no more than the source named."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.admin.importing.found import Delivery, Found, FoundDevice, Outcome
from leadglass.admin.importing.naming import policy_names
from leadglass.admin.importing.proposal import MAX_DEVICES, MAX_REFUSALS_TESTED, ProposalInvalid, propose
from leadglass.admin.importing.take_over import import_dcm4chee, import_orthanc, write_proposal
from leadglass.model.action import MACHINE_VERBS, Verb
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid, NotPermitted
from leadglass.model.names import Uid
from leadglass.policy import check_policy
from leadglass.policy.model import Direction
from leadglass.policy.reading.words import RESERVED
from tests.support.admin_desk import permit_to
from tests.support.imports import DCM4CHEE, LAST_DAY, NOW, ORTHANC, policy_of

TITLES = st.text(max_size=18) | st.sampled_from(["CT1", "ct1", "CT*", " CT1 ", "archive"])
HOSTS = st.text(max_size=12) | st.ip_addresses().map(str) | st.sampled_from(["10.0.0.1", "10.0.0.2", "ct1"])
VERBS = st.frozensets(st.sampled_from(sorted(MACHINE_VERBS)))
CT, MR = Uid("1.2.840.10008.5.1.4.1.1.2"), Uid("1.2.840.10008.5.1.4.1.1.4")


@st.composite
def devices(draw: st.DrawFn) -> FoundDevice:
    granted = draw(VERBS)
    closed = draw(VERBS) - granted
    return FoundDevice(
        where=draw(st.text(max_size=9)),
        what=draw(st.text(max_size=9)),
        name=draw(st.text(max_size=80) | st.sampled_from(["archive", "ct1", "CT1"])),
        titles=tuple(draw(st.lists(TITLES, max_size=3))),
        host=draw(HOSTS),
        port=draw(st.none() | st.integers(-1, 70000)),
        transport=draw(st.sampled_from([Transport.MTLS, Transport.PLAIN])),
        granted=granted,
        closed=closed,
        refused=draw(VERBS) - granted - closed,
        store_classes=draw(st.frozensets(st.sampled_from([CT, MR]))),
        deliveries=draw(
            st.sampled_from(
                [
                    (),
                    (Delivery("goes to a"),),
                    (Delivery("goes to a", ("CT",)), Delivery("goes to b", ("MR",))),
                ]
            )
        ),
        inventory={"note": draw(st.text(max_size=30)), "vendor": draw(st.text(max_size=30))},
    )


@given(st.lists(devices(), max_size=6))
def test_a_proposal_loads_and_permits_no_more_than_was_named(found: list[FoundDevice]) -> None:
    made = propose(Found("Test", tuple(found), ()), "x", NOW)
    checked = check_policy(made.text, path="x", now=NOW)
    policy = policy_of(made)
    unfilled = [zone.name for zone in policy.zones.values() if not zone.networks]
    assert [each.message for each in checked.findings] == [
        f'"cidr" is empty, so nobody comes from zone {name}' for name in unfilled
    ]
    assert not {device.zone for device in policy.devices.values()} & set(unfilled)
    assert checked.failed_tests == ()
    kept = {device.ip: device for device in policy.devices.values()}
    granted: dict[str, set[Verb]] = {}
    for flow in policy.flows.values():
        (name,) = flow.parties
        assert name in policy.devices
        if flow.direction is Direction.TO_ARCHIVE:
            granted.setdefault(name, set()).update(flow.can)
    for name, verbs in granted.items():
        titles = set(policy.devices[name].ae)
        sources = [each for each in found if {title.strip(" \0") for title in each.titles} == titles]
        assert any(verbs == each.granted for each in sources)
    for zone in policy.zones.values():
        assert {ip_network(network).num_addresses for network in zone.networks} <= {1}
        assert {network.network_address for network in zone.networks} <= set(kept)
    assert all(device.ip is not None for device in policy.devices.values())


@given(st.lists(devices(), max_size=6))
def test_each_machine_is_a_device_or_left_out(found: list[FoundDevice]) -> None:
    made = propose(Found("Test", tuple(found), ()), "x", NOW)
    machines = [remark for remark in made.remarks if not remark.what.endswith(" port")]
    left_out = [
        remark for remark in machines if remark.became == "-" and not remark.what.startswith("goes to ")
    ]
    assert len(policy_of(made).devices) <= len(found)
    assert len(policy_of(made).devices) + len(left_out) >= len(found)
    assert made.is_partial is any(remark.outcome is Outcome.LEFT_OUT for remark in made.remarks)


@given(st.lists(st.text(max_size=80) | st.sampled_from(["archive", "a", "A", "a-2"]), max_size=9))
def test_names_are_valid_each_once_and_no_word_of_the_language(wanted: list[str]) -> None:
    names = policy_names(wanted)
    assert len(set(names)) == len(wanted)
    assert not set(names) & RESERVED
    assert all(name.isascii() and 0 < len(name) <= 48 for name in names)


def test_names_stay_readable() -> None:
    assert policy_names(["CT Raum 1", "Gerät/Süd", "CT-RAUM-1", "***", "archive"]) == (
        *("ct-raum-1", "gerat-sud", "ct-raum-1-2", "device", "archive-2"),
    )


def test_a_hostile_configuration_cannot_end_a_comment_or_a_string() -> None:
    hostile = '\n[flows]\nx = { from = ["zone:a"] }\u2028"""\\'
    found = FoundDevice(
        where=hostile,
        what=hostile,
        name=hostile,
        titles=('"] #',),
        host="10.0.0.5",
        port=104,
        transport=Transport.PLAIN,
        inventory={"note": hostile},
    )
    policy = policy_of(propose(Found(hostile, (found,), ()), hostile, NOW))
    assert policy.flows == {}
    assert [device.ae for device in policy.devices.values()] == [('"] #',)]


def test_the_zone_of_plaintext_is_closed_after_ninety_days_without_a_review() -> None:
    device = FoundDevice("x:1", "CT1", "ct1", ("CT1",), "10.0.0.5", 104, Transport.PLAIN)
    review = policy_of(propose(Found("Test", (device,), ()), "x", NOW)).zones["imported-plain"].review
    assert review is not None
    assert review.last_day == LAST_DAY


def test_tests_stay_few_whatever_the_source_refuses() -> None:
    refused = frozenset({Verb.FIND, Verb.GET, Verb.MOVE})
    devices = tuple(
        FoundDevice("x:1", "a", "a", (f"A{n}",), "10.0.0.5", 104, Transport.PLAIN, refused=refused)
        for n in range(100)
    )
    made = propose(Found("Test", devices, ()), "x", NOW)
    assert len(policy_of(made).tests) == 5 + 1 + MAX_REFUSALS_TESTED
    assert "# and 100 more" in made.text


def test_more_devices_than_a_policy_should_hold_are_refused() -> None:
    device = FoundDevice("x:1", "CT1", "ct1", ("CT1",), "10.0.0.5", 104, Transport.PLAIN)
    with pytest.raises(ConfigurationInvalid, match="more than 1000 devices"):
        propose(Found("Test", (device,) * (MAX_DEVICES + 1), ()), "x", NOW)


def test_a_proposal_too_large_for_a_policy_is_not_handed_out() -> None:
    talkative = dict.fromkeys(("note", "vendor", "model"), "x" * 400)
    devices = tuple(
        FoundDevice("x:1", "a", "a", (f"A{number}",), "10.0.0.5", 104, Transport.PLAIN, inventory=talkative)
        for number in range(1000)
    )
    with pytest.raises(ProposalInvalid, match="larger than"):
        propose(Found("Test", devices, ()), "x", NOW)


@pytest.mark.parametrize(("use_case", "path"), [(import_orthanc, ORTHANC), (import_dcm4chee, DCM4CHEE)])
def test_importing_takes_a_permit_to_see_the_status(use_case: type, path: Path) -> None:
    assert use_case(permit_to(Verb.STATUS), path, NOW).is_partial
    with pytest.raises(NotPermitted):
        use_case(permit_to(Verb.STORE), path, NOW)


def test_a_proposal_is_never_written_over_a_file(tmp_path: Path) -> None:
    made = propose(Found("Test", (), ()), "x", NOW)
    path = tmp_path / "proposal.toml"
    write_proposal(path, made)
    assert path.read_text(encoding="utf-8") == made.text
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("the site's own", encoding="utf-8")
    with pytest.raises(ConfigurationInvalid, match="not overwritten"):
        write_proposal(path, made)
    assert path.read_text(encoding="utf-8") == "the site's own"
    with pytest.raises(ConfigurationInvalid, match="cannot write"):
        write_proposal(tmp_path / "nowhere" / "x.toml", made)


def test_flows_of_two_machines_never_share_a_name() -> None:
    several = (Delivery("goes to a", ("CT",)), Delivery("goes to b", ("MR",)))
    machines = [
        FoundDevice(
            where="x:1",
            what="device",
            name="device",
            titles=(f"AE{number}",),
            host=f"10.0.0.{number}",
            port=104,
            transport=Transport.MTLS,
            granted=frozenset(),
            closed=frozenset(),
            refused=frozenset(),
            store_classes=frozenset(),
            deliveries=several,
            inventory={},
        )
        for number in (1, 2)
    ]
    made = propose(Found("Test", tuple(machines), ()), "x", NOW)
    assert set(policy_of(made).flows) == {"out-device", "out2-device", "out-device-2", "out2-device-2"}
