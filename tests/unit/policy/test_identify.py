from __future__ import annotations

from dataclasses import replace

import pytest

from leadglass.model.caller import Archive, CertificateFacts, LocalAdministrator, Peer, Transport
from leadglass.model.decision import RungState, Step
from leadglass.policy import Identity, identify
from tests.support.policies import ALICE, CERTIFICATE, CT1, EXAMPLE, NOW, US1, WS1, policy

POLICY = policy(EXAMPLE)
FOREIGN = CertificateFacts("ab" * 32, 9, "CN=foreign", issued_here=False, device="ct1", not_after=NOW)


def stopped(identity: Identity) -> tuple[str, Step, str]:
    last = identity.rungs[-1]
    assert last.state is RungState.FAILED
    assert not identity.is_known
    return identity.guard, last.step, last.detail


@pytest.mark.parametrize(
    ("peer", "device", "zone", "detail"),
    [
        (CT1, "ct1", "modalities", "ct1, by its certificate"),
        (WS1, "ws1", "reading", "ws1, by its certificate"),
        (US1, "us1", "legacy", "us1, by its address and AE title, which can be forged"),
        (
            replace(US1, address="::ffff:10.20.9.5"),
            "us1",
            "legacy",
            "us1, by its address and AE title, which can be forged",
        ),
    ],
)
def test_known_device_climbs_four_rungs(peer: Peer, device: str, zone: str, detail: str) -> None:
    identity = identify(POLICY, peer)
    assert identity.is_known
    assert identity.who == device
    assert identity.device is POLICY.devices[device]
    assert identity.zone is POLICY.zones[zone]
    assert [rung.step for rung in identity.rungs] == [Step.TCP, Step.ZONE, Step.TRANSPORT, Step.DEVICE]
    assert identity.rungs[-1].detail == detail
    address = peer.address.removeprefix("::ffff:")
    assert identity.rungs[0].detail == f"{address} on listener {peer.listener}"


@pytest.mark.parametrize(
    ("peer", "guard", "step", "detail"),
    [
        (replace(CT1, address="?"), "address", Step.TCP, '"?" is not an IP address'),
        (replace(CT1, address="172.16.0.9"), "unknown zone", Step.ZONE, "no zone holds 172.16.0.9 over mtls"),
        (
            replace(US1, address="198.51.100.7"),
            "unknown zone",
            Step.ZONE,
            "no zone holds 198.51.100.7 over plain",
        ),
        (
            replace(US1, address="10.20.1.5"),
            "transport",
            Step.TRANSPORT,
            "zone modalities takes mtls, not plain",
        ),
        (replace(CT1, address="10.20.9.5"), "transport", Step.TRANSPORT, "zone legacy takes plain, not mtls"),
        (replace(WS1, transport=Transport.HTTPS), "transport", Step.DEVICE, "DICOM does not come over https"),
        (replace(CT1, certificate=None), "no certificate", Step.DEVICE, "no client certificate"),
        (
            replace(CT1, certificate=replace(CERTIFICATE, trouble="revoked\n")),
            "certificate",
            Step.DEVICE,
            'the certificate does not count: "revoked\\n"',
        ),
        (
            replace(CT1, certificate=replace(CERTIFICATE, device="ct9")),
            "unknown device",
            Step.DEVICE,
            'the certificate names "ct9", which the policy does not define',
        ),
        (
            replace(CT1, certificate=FOREIGN),
            "unknown certificate",
            Step.DEVICE,
            f"a foreign certificate that no device pins: sha256 {'ab' * 32}",
        ),
        (
            replace(CT1, address="10.20.3.9"),
            "zone of the device",
            Step.DEVICE,
            "ct1 belongs in zone modalities, not in reading",
        ),
        (replace(CT1, calling_ae=None), "AE title", Step.DEVICE, "no calling AE title was given"),
        (replace(CT1, calling_ae="WS1"), "AE title", Step.DEVICE, 'AE title "WS1" is not one of ct1\'s'),
        (replace(CT1, calling_ae="ct1"), "AE title", Step.DEVICE, 'AE title "ct1" is not one of ct1\'s'),
        (
            replace(CT1, called_ae="SO\x1bUTH", called_ae_known=False),
            "called AE title",
            Step.DEVICE,
            'it calls "SO\\x1bUTH", which is not the archive\'s AE title',
        ),
        (replace(US1, calling_ae=None), "AE title", Step.DEVICE, "no calling AE title was given"),
        (replace(US1, calling_ae="X\n"), "AE title", Step.DEVICE, 'AE title "X\\n" is not one of us1\'s'),
        (
            replace(US1, address="10.20.9.6"),
            "pinned address",
            Step.DEVICE,
            'AE title "LOGIQ" is us1\'s, which is pinned to 10.20.9.5, not 10.20.9.6',
        ),
        (
            replace(US1, address="10.20.9.6", calling_ae="CT1"),
            "pinned address",
            Step.DEVICE,
            'AE title "CT1" is ct1\'s, which has no pinned ip, not 10.20.9.6',
        ),
        (
            replace(US1, address="10.20.9.6", calling_ae="X"),
            "unknown device",
            Step.DEVICE,
            'no device is AE title "X" at 10.20.9.6',
        ),
    ],
)
def test_every_guard_stops_at_its_rung(peer: Peer, guard: str, step: Step, detail: str) -> None:
    assert stopped(identify(POLICY, peer)) == (guard, step, detail)


def test_certificate_that_is_not_ours_is_never_believed_by_its_name() -> None:
    identity = identify(POLICY, replace(CT1, certificate=FOREIGN))
    assert identity.device is None
    assert identity.who == "10.20.1.5"


def test_plaintext_stranger_is_never_called_by_the_name_of_the_device_at_that_address() -> None:
    identity = identify(POLICY, replace(US1, calling_ae="X"))
    assert (identity.who, identity.device) == ("10.20.9.5", None)


def test_foreign_certificate_is_known_by_its_pinned_fingerprint() -> None:
    pinned = policy(EXAMPLE.replace("ct1  = { zone", f'ct1  = {{ fingerprint = "{"AB" * 32}", zone'))
    identity = identify(pinned, replace(CT1, certificate=replace(FOREIGN, device=None)))
    assert identity.is_known
    assert identity.rungs[-1].detail == "ct1, by its pinned certificate"


def test_revoked_device_is_out_whatever_the_date_says() -> None:
    revoked = policy(
        EXAMPLE.replace("ct1  = { zone", "ct1  = { revoked = 2099-01-01, zone").replace(
            '"ct1 store archive", ', ""
        )
    )
    guard, step, detail = stopped(identify(revoked, CT1))
    assert (guard, step, detail) == ("revoked", Step.DEVICE, "ct1 is revoked since 2099-01-01")


def test_pinned_ip_holds_over_mtls_too() -> None:
    pinned = policy(EXAMPLE.replace("ct1  = { zone", 'ct1  = { ip = "10.20.1.5", zone'))
    assert identify(pinned, CT1).is_known
    guard, _, detail = stopped(identify(pinned, replace(CT1, address="10.20.1.6")))
    assert (guard, detail) == ("pinned address", "ct1 is pinned to 10.20.1.5, not 10.20.1.6")


def test_longest_prefix_wins_among_the_zones_of_the_transport_only() -> None:
    nested = policy(
        """
        version = 1
        [zones]
        wide = { cidr = ["10.0.0.0/8"], transport = "mtls" }
        narrow = { cidr = ["10.1.0.0/16"], transport = "mtls" }
        old = { cidr = ["10.1.2.0/24"], transport = "plain", review_by = 2027-06-30 }
        six = { cidr = ["::/64"], transport = "mtls" }
        """
    )
    zones = {
        address: identify(nested, replace(CT1, address=address)).zone
        for address in ("10.2.0.1", "10.1.2.3", "::a01:203")
    }
    assert zones == {
        "10.2.0.1": nested.zones["wide"],
        "10.1.2.3": nested.zones["narrow"],
        "::a01:203": nested.zones["six"],
    }


def test_person_is_known_with_their_groups() -> None:
    identity = identify(POLICY, ALICE)
    assert identity.who == "alice"
    assert identity.groups == {"rads"}
    assert identity.rungs[-1].detail == "alice, of rads"
    assert identify(POLICY, replace(ALICE, roles=frozenset())).rungs[-1].detail == "alice, of no group"


def test_person_with_a_hostile_name_is_quoted() -> None:
    assert identify(POLICY, replace(ALICE, name="a\x1b[2J")).who == '"a\\x1b[2J"'
    assert len(identify(POLICY, replace(ALICE, name="a" * 1000)).who) < 100


def test_person_outside_without_a_second_factor_is_stopped() -> None:
    outside = replace(ALICE, address="198.51.100.7")
    assert identify(POLICY, outside).is_known
    guard, step, _ = stopped(identify(POLICY, replace(outside, mfa=False)))
    assert (guard, step) == ("mfa", Step.DEVICE)


def test_zone_named_remote_is_outside_even_with_private_addresses() -> None:
    private = policy('version = 1\n[zones]\nremote = { cidr = ["10.0.0.0/8"], transport = "https" }')
    guard, _, _ = stopped(identify(private, replace(ALICE, mfa=False)))
    assert guard == "mfa"


def test_person_in_plaintext_is_stopped() -> None:
    guard, step, _ = stopped(identify(POLICY, replace(ALICE, address="10.20.9.3", transport=Transport.PLAIN)))
    assert (guard, step) == ("transport", Step.TRANSPORT)


def test_person_from_nowhere_is_stopped() -> None:
    assert stopped(identify(POLICY, replace(ALICE, address="?")))[0] == "address"
    plain = replace(ALICE, address="10.9.9.9", transport=Transport.PLAIN)
    assert stopped(identify(POLICY, plain))[0] == "unknown zone"


def test_unknown_private_address_is_told_how_to_belong_and_a_public_one_is_not() -> None:
    assert identify(POLICY, replace(US1, address="10.9.9.9")).fix == (
        'if it belongs here, add "10.9.9.9/32" to its zone\'s cidr'
    )
    assert identify(POLICY, replace(US1, address="198.51.100.7")).fix == ""


def test_archive_and_local_administrator_are_known_by_what_they_are() -> None:
    assert identify(POLICY, Archive("node1")).who == "archive"
    assert identify(POLICY, LocalAdministrator("root")).who == "root"


def test_known_peers_are_remembered_and_strangers_are_not() -> None:
    fresh = policy(EXAMPLE)
    stranger = replace(CT1, calling_ae="X")
    assert identify(fresh, CT1) is identify(fresh, CT1)
    assert identify(fresh, stranger) is not identify(fresh, stranger)
