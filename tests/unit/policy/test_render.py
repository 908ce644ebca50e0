"""The policy for firewalls: as narrow as addresses and ports can be, and never wider than the gate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from leadglass.model.caller import Transport
from leadglass.policy import Policy, check_policy
from leadglass.policy.network import Address
from leadglass.policy.render.dialects import RENDERERS, Dialect
from leadglass.policy.render.passages import Passages, passages_of
from leadglass.policy.render.words import Archive, short
from leadglass.sitefile import Listener, parse_socket_address
from tests.support.admitted import admitted_from
from tests.support.policies import EXAMPLE, NOW, policy
from tests.support.said import assert_said

WARD = ip_network("10.1.0.0/16")
HERE = Path(__file__).parent
LISTENERS = tuple(
    Listener(f"{transport}{number}", parse_socket_address(address), transport)
    for number, (address, transport) in enumerate(
        (
            ("10.20.0.5:2762", Transport.MTLS),
            ("[::]:2762", Transport.MTLS),
            ("0.0.0.0:11112", Transport.PLAIN),
            ("0.0.0.0:443", Transport.HTTPS),
        )
    )
)
SIX = """
six = { cidr = ["2001:db8:5::/64"], transport = "mtls" }
[devices]
ct6 = { zone = "six", ae = ["CT6"], address = "[2001:db8:5::7]:104" }
"""
BOTH = EXAMPLE.replace("[devices]", SIX, 1).replace(
    "[flows]",
    '[flows]\nsix = { from = ["ct6"], to = "archive", can = ["store"], expires = 2027-01-01 }\n'
    'six-out = { from = ["archive"], to = "ct6", can = ["store"], expires = 2027-01-01 }',
)


def loaded(text: str) -> Policy:
    found = check_policy(text, path="policy.toml", now=NOW).policy
    assert found is not None, check_policy(text, path="policy.toml", now=NOW).findings
    return found


def may_reach(passages: Passages, address: Address, listener: Listener) -> bool:
    return any(
        passage.listener == listener and any(address in network for network in passage.sources)
        for passage in passages.inbound
    )


def edges(rules: Policy) -> list[Address]:
    """The addresses at and beside the ends of every range, and every pinned one."""
    found = {device.ip for device in rules.devices.values() if device.ip is not None}
    for zone in rules.zones.values():
        for network in zone.networks:
            first, last = int(network.network_address), int(network.broadcast_address)
            top = (1 << network.max_prefixlen) - 1
            kind = type(network.network_address)
            found |= {kind(each) for each in (first - 1, first, last, last + 1) if 0 <= each <= top}
    return sorted(found, key=lambda each: (each.version, int(each)))


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_dialect_says_whom_it_lets_through_and_why(dialect: Dialect) -> None:
    text = RENDERERS[dialect](passages_of(loaded(BOTH), LISTENERS, NOW), Archive("policy.toml", "leadglass"))
    assert_said(text.splitlines(), HERE / f"said_to_{dialect}.txt")


def test_without_an_account_nothing_that_is_sent_is_bound() -> None:
    passages = passages_of(policy(EXAMPLE), LISTENERS, NOW)
    for dialect in (Dialect.NFTABLES, Dialect.IPTABLES, Dialect.IP6TABLES):
        text = RENDERERS[dialect](passages, Archive("policy.toml"))
        assert "skuid" not in text
        assert "LEADGLASS-OUT" not in text


def test_security_group_is_what_its_api_takes() -> None:
    passages = passages_of(loaded(BOTH), LISTENERS, NOW)
    group = json.loads(RENDERERS[Dialect.AWS](passages, Archive('odd "policy"')))
    assert group["Description"] == "Leadglass: odd  policy "
    assert {"CidrIp": "10.20.9.5/32", "Description": "us1 by old-us"} in [
        each for permission in group["IpPermissions"] for each in permission.get("IpRanges", [])
    ]
    assert any("Ipv6Ranges" in permission for permission in group["IpPermissions"])
    assert len(group["IpPermissionsEgress"]) == 3


def test_a_policy_that_lets_nobody_in_or_out_renders_to_nothing_but_refusals() -> None:
    nobody = loaded("version = 1\n")
    passages = passages_of(nobody, LISTENERS, NOW)
    assert (passages.inbound, passages.outbound) == ((), ())
    text = RENDERERS[Dialect.KUBERNETES](passages, Archive("x"))
    assert "  ingress: []\n  egress: []" in text
    assert "accept comment" not in RENDERERS[Dialect.NFTABLES](passages, Archive("x"))


EVERYWHERE = """
version = 1
[zones]
web  = { cidr = ["0.0.0.0/0", "::/0"], transport = "https" }
hole = { cidr = ["10.1.2.0/24"], transport = "https" }
ward = { cidr = ["10.1.0.0/16"], transport = "https" }
both = { cidr = ["10.2.0.0/16"], transport = ["mtls", "plain"], review_by = 2027-01-31 }
part = { cidr = ["10.2.3.0/24"], transport = "plain", review_by = 2027-01-31 }
[devices]
d = { zone = "both", ae = ["D"], ip = "10.2.4.1" }
[groups]
g = ["role:g"]
[flows]
f = { from = ["d"], to = "archive", can = ["echo"] }
[grants]
h = { who = "g", from = ["web"], on = "any", can = ["view"], need = ["mfa"], expires = 2027-01-01 }
"""


def test_people_come_from_the_zones_of_their_grants_alone() -> None:
    passages = passages_of(loaded(EVERYWHERE), LISTENERS, NOW)
    https = [each for each in passages.inbound if each.listener.transport is Transport.HTTPS]
    assert [each.because for each in https] == ["zone web: people by h"]
    assert not any(network.overlaps(WARD) for each in https for network in each.sources)


def test_everywhere_is_any_in_an_access_list() -> None:
    whole = loaded("\n".join(line for line in EVERYWHERE.splitlines() if line[:5] not in ("ward ", "hole ")))
    text = RENDERERS[Dialect.CISCO](passages_of(whole, LISTENERS, NOW), Archive("x"))
    assert " permit tcp any any eq 443" in text


def test_comment_that_is_too_long_is_cut() -> None:
    assert short("abc", 3) == "abc"
    assert short("abcdef", 5) == "ab..."


PIECES = (
    'inner = { cidr = ["10.20.1.64/26"], transport = "mtls" }\n',
    'inmost = { cidr = ["10.20.1.80/28"], transport = ["mtls", "plain"], review_by = 2027-01-31 }\n',
    'late = { cidr = ["10.20.3.64/26"], transport = "mtls", review_by = 2026-01-31 }\n',
    'wide = { cidr = ["10.0.0.0/8"], transport = "mtls" }\n',
)
DEVICES = (
    'a = { zone = "inner", ae = ["A"] }\n',
    'b = { zone = "inmost", ae = ["B"], ip = "10.20.1.81" }\n',
    'c = { zone = "inmost", ae = ["C"] }\n',
    'd = { zone = "late", ae = ["D"] }\n',
    'e = { zone = "wide", ae = ["E"], ip = "10.7.7.7" }\n',
    'f = { zone = "modalities", ae = ["F"], revoked = 2026-01-01 }\n',
    'g = { zone = "modalities", ae = ["G"], ip = "10.20.1.9" }\n',
)
FLOWS = (
    'all = { from = ["zone:inner", "zone:inmost", "zone:wide"], to = "archive", can = ["echo"] }\n',
    'late = { from = ["zone:late"], to = "archive", can = ["echo"] }\n',
    'past = { from = ["zone:modalities"], to = "archive", can = ["echo"], expires = 2026-01-01 }\n',
    'shift = { from = ["zone:reading"], to = "archive", can = ["get"], hours = "01:00-02:00" }\n',
    'none = { from = ["zone:legacy"], to = "archive", can = [] }\n',
)


@settings(max_examples=25, phases=set(Phase) - {Phase.shrink})
@given(
    dropped=st.sets(st.sampled_from(("acquire", "old-us", "read", "home"))),
    flows=st.sets(st.sampled_from(FLOWS)),
    devices=st.sets(st.sampled_from(DEVICES)),
)
def test_address_may_reach_a_port_just_where_the_gate_would_admit_somebody(
    dropped: set[str], flows: set[str], devices: set[str]
) -> None:
    text = EXAMPLE.partition("[tests]")[0]
    lines = [line for line in text.splitlines() if line.partition("=")[0].strip() not in dropped]
    text = "\n".join(lines)
    text = text.replace("[devices]", "".join(PIECES) + "[devices]\n" + "".join(sorted(devices)), 1)
    rules = loaded(text.replace("[flows]", "[flows]\n" + "".join(sorted(flows)), 1))
    passages = passages_of(rules, LISTENERS, NOW)
    for listener in LISTENERS:
        for address in edges(rules):
            fits = address.version == listener.address.host.version
            wanted = fits and admitted_from(rules, address, listener, NOW)
            assert may_reach(passages, address, listener) is wanted, (str(address), listener.name)


def outbound_of(text: str, now: datetime = NOW) -> Sequence[tuple[str, int]]:
    passages = passages_of(loaded(text), LISTENERS, now)
    return [(str(each.target), each.port) for each in passages.outbound]


def test_what_is_sent_goes_to_the_address_of_the_device_while_a_flow_lives() -> None:
    assert outbound_of(EXAMPLE) == [("10.20.3.11/32", 11112), ("203.0.113.4/32", 2762)]
    later = datetime(2027, 4, 1, tzinfo=UTC)
    assert outbound_of(EXAMPLE, later) == [("10.20.3.11/32", 11112)]
    revoked = EXAMPLE.replace(
        'address = "10.20.3.11:11112"', 'address = "10.20.3.11:11112", revoked = 2026-01-01'
    )
    assert outbound_of(revoked) == [("203.0.113.4/32", 2762)]
