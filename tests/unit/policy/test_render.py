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
from leadglass.policy.moments import moments
from leadglass.policy.network import Address
from leadglass.policy.render.dialects import RENDERERS, Dialect
from leadglass.policy.render.passages import Passages, passages_of
from leadglass.policy.render.words import Archive, short
from leadglass.sitefile import Listener, parse_socket_address
from tests.support.admitting import may_be_admitted
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
    pinned = [*(each.ip for each in rules.devices.values()), *(each.ip for each in rules.learning.values())]
    found = {ip for ip in pinned if ip is not None}
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
    assert group["Description"] == "Leadglass: odd _policy_"
    assert {"CidrIp": "10.20.9.5/32", "Description": "us1 by old-us"} in [
        each for permission in group["IpPermissions"] for each in permission.get("IpRanges", [])
    ]
    assert any("Ipv6Ranges" in permission for permission in group["IpPermissions"])
    assert len(group["IpPermissionsEgress"]) == 3


def test_two_devices_at_one_address_are_one_rule_of_a_security_group_which_takes_none_twice() -> None:
    text = EXAMPLE.partition("[tests]")[0].replace(
        "[groups]", 'us2 = { zone = "legacy", ae = ["US2"], ip = "10.20.9.5" }\n[groups]'
    )
    passages = passages_of(loaded(text.replace('from = ["us1"]', 'from = ["us1", "us2"]')), LISTENERS, NOW)
    group = json.loads(RENDERERS[Dialect.AWS](passages, Archive("x")))
    (plain,) = (each for each in group["IpPermissions"] if each["FromPort"] == 11112)
    assert plain["IpRanges"] == [{"CidrIp": "10.20.9.5/32", "Description": "us1 by old-us; us2 by old-us"}]


@pytest.mark.parametrize("dialect", [Dialect.AWS, Dialect.KUBERNETES, Dialect.CISCO])
def test_loopback_is_no_matter_of_the_network_around_the_host(dialect: Dialect) -> None:
    local = tuple(
        Listener(name, parse_socket_address(address), Transport.MTLS)
        for name, address in (("local", "127.0.0.1:4242"), ("local6", "[::1]:4242"))
    )
    text = EXAMPLE.partition("[tests]")[0].replace('["10.20.3.0/24"]', '["10.20.3.0/24", "127.0.0.0/8"]')
    text = text.replace('address = "10.20.3.11:11112"', 'address = "127.0.0.1:5252"')
    rendered = RENDERERS[dialect](passages_of(loaded(text), (*local, *LISTENERS), NOW), Archive("x"))
    assert "2762" in rendered
    assert "4242" not in rendered
    assert "5252" not in rendered


@pytest.mark.parametrize("dialect", list(Dialect))
def test_name_of_a_file_cannot_break_out_of_a_comment(dialect: Dialect) -> None:
    hostile = 'x"; }\nflush ruleset\n-A INPUT -j ACCEPT\n permit ip any any\r\x1b[2J'
    passages = passages_of(policy(EXAMPLE), LISTENERS, NOW)
    rendered = RENDERERS[dialect](passages, Archive(hostile))
    calm = RENDERERS[dialect](passages, Archive("calm"))
    assert rendered.replace("x_; __flush ruleset_-A INPUT -j ACCEPT_ permit ip any any___2J", "calm") == calm


def test_word_of_a_rule_that_means_something_to_a_firewall_is_made_plain() -> None:
    assert short('us1" accept; #\n', 100) == "us1_ accept; __"


@pytest.mark.parametrize("term", ["hours = []", 'hours = "01:00-02:00", expires = 2026-11-22'])
def test_flow_that_never_comes_round_again_opens_nothing(term: str) -> None:
    text = EXAMPLE.partition("[tests]")[0].replace('from = ["us1"],', f'from = ["us1"], {term},')
    inbound = passages_of(loaded(text), LISTENERS, NOW).inbound
    assert not any(each.listener.transport is Transport.PLAIN for each in inbound)


def test_grant_of_a_group_of_nobody_opens_nothing() -> None:
    text = EXAMPLE.partition("[tests]")[0]
    nobody = text.replace('["role:radiologist", "oidc:radiologists"]', "[]")
    inbound = passages_of(loaded(nobody), LISTENERS, NOW).inbound
    assert not any(each.listener.transport is Transport.HTTPS for each in inbound)


def test_ipv4_address_written_as_ipv6_is_reached_as_ipv4() -> None:
    text = EXAMPLE.partition("[tests]")[0].replace('"203.0.113.4:2762"', '"[::ffff:203.0.113.4]:2762"')
    text = text.replace('"203.0.113.0/28"', '"203.0.113.0/28", "::ffff:203.0.113.0/124"')
    assert outbound_of(text)[-1] == ("203.0.113.4/32", 2762)


def test_on_the_host_another_address_may_have_a_service_of_another_at_the_same_port() -> None:
    (one, *_) = LISTENERS
    passages = passages_of(policy(EXAMPLE), (one,), NOW)
    for dialect in (Dialect.NFTABLES, Dialect.IPTABLES):
        lines = RENDERERS[dialect](passages, Archive("x")).splitlines()
        ours = [line for line in lines if "2762" in line]
        assert ours
        assert [line for line in ours if "10.20.0.5" not in line] == []


def test_access_list_is_made_anew_and_lets_ipv6_find_its_neighbours() -> None:
    lines = RENDERERS[Dialect.CISCO](passages_of(loaded(BOTH), LISTENERS, NOW), Archive("x")).splitlines()
    for name in ("ip access-list extended LEADGLASS-TO", "ipv6 access-list LEADGLASS-FROM6"):
        assert lines[lines.index(name) - 1] == f"no {name}"
    neighbours = [" permit icmp any any nd-na", " permit icmp any any nd-ns", " deny ipv6 any any log"]
    assert lines[-3:] == neighbours


def test_site_without_a_listener_renders_no_empty_set() -> None:
    text = RENDERERS[Dialect.NFTABLES](passages_of(policy(EXAMPLE), (), NOW), Archive("x"))
    assert "jump" not in text
    assert "{  }" not in text


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


WATCHED = (
    'w = { ip = "10.20.9.9", zone = "legacy", until = 2026-12-01 }\n',
    'x = { ip = "10.20.1.70", zone = "inner", until = 2026-12-01 }\n',
    'y = { ip = "10.20.1.82", zone = "inmost", until = 2026-12-01 }\n',
    'z = { ip = "10.20.9.8", zone = "legacy", until = 2026-11-01 }\n',
)


@settings(max_examples=25, phases=set(Phase) - {Phase.shrink})
@given(
    dropped=st.sets(st.sampled_from(("acquire", "old-us", "read", "home"))),
    flows=st.sets(st.sampled_from(FLOWS)),
    devices=st.sets(st.sampled_from(DEVICES)),
    watched=st.sets(st.sampled_from(WATCHED)),
)
def test_address_may_reach_a_port_just_where_the_gate_would_admit_somebody(
    dropped: set[str], flows: set[str], devices: set[str], watched: set[str]
) -> None:
    text = EXAMPLE.partition("[tests]")[0]
    lines = [line for line in text.splitlines() if line.partition("=")[0].strip() not in dropped]
    text = "\n".join([*lines, "[learning]", *sorted(watched)])
    text = text.replace("[devices]", "".join(PIECES) + "[devices]\n" + "".join(sorted(devices)), 1)
    rules = loaded(text.replace("[flows]", "[flows]\n" + "".join(sorted(flows)), 1))
    passages = passages_of(rules, LISTENERS, NOW)
    for listener in LISTENERS:
        for address in edges(rules):
            fits = address.version == listener.address.host.version
            wanted = fits and may_be_admitted(rules, address, listener.transport, moments(rules, NOW))
            assert may_reach(passages, address, listener) is wanted, (str(address), listener.name)


def test_a_watched_address_is_let_through_until_its_last_day() -> None:
    watching = EXAMPLE + "[learning]\n" + WATCHED[0]
    [passage] = [
        each for each in passages_of(loaded(watching), LISTENERS, NOW).inbound if "learning" in each.because
    ]
    assert (passage.sources, passage.because) == (
        (ip_network("10.20.9.9/32"),),
        "learning:w until 2026-12-01",
    )
    later = passages_of(loaded(watching), LISTENERS, datetime(2026, 12, 2, tzinfo=UTC))
    assert not any("learning" in each.because for each in later.inbound)


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
