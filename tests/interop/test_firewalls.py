"""The policy rendered for firewalls: real ones take it, and let through what the policy lets, no more."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.model.caller import Transport
from leadglass.policy import Policy, check_policy
from leadglass.policy.moments import moments
from leadglass.policy.render.dialects import RENDERERS, Dialect
from leadglass.policy.render.passages import Passages, passages_of
from leadglass.policy.render.words import Archive
from leadglass.sitefile import Listener, parse_socket_address
from tests.support.admitting import may_be_admitted
from tests.support.firewall_rig import Call, CameThrough, Delivery, Plan, v6, what_comes_through

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TLS, PLAIN, SSH = 2762, 11112, 8022
POLICY = """
version = 1
[zones]
modalities = { cidr = ["10.91.1.0/24", "fd91:1::/64"], transport = "mtls" }
empty      = { cidr = ["10.91.1.192/26"], transport = "mtls" }
legacy     = { cidr = ["10.91.2.0/24"], transport = "plain", review_by = 2027-01-31 }
overdue    = { cidr = ["10.91.4.0/24"], transport = "plain", review_by = 2026-01-31 }
reading    = { cidr = ["10.91.3.128/25"], transport = ["mtls", "plain"], review_by = 2027-01-31 }
[devices]
ct1  = { zone = "modalities", ae = ["CT1"] }
us1  = { zone = "legacy", ae = ["US1"], ip = "10.91.2.130" }
us2  = { zone = "legacy", ae = ["US2"], ip = "10.91.2.140", revoked = 2026-01-01 }
us3  = { zone = "legacy", ae = ["US3"], ip = "10.91.2.150" }
old  = { zone = "overdue", ae = ["OLD"], ip = "10.91.4.130" }
ws1  = { zone = "reading", ae = ["WS1"], ip = "10.91.3.140", address = "10.91.3.2:4242" }
pacs = { zone = "legacy", ae = ["PACS"], ip = "10.91.2.2", address = "10.91.2.2:4242" }
[flows]
acquire = { from = ["zone:modalities", "us1", "us2", "old"], to = "archive", can = ["store"] }
over    = { from = ["us3"], to = "archive", can = ["store"], expires = 2026-01-31 }
read    = { from = ["ws1"], to = "archive", can = ["find"], hours = "03:00-04:00" }
deliver = { from = ["archive"], to = "pacs", can = ["store"] }
"""
POLICY = POLICY.replace('address = "10.91.3.2:4242"', 'address = "10.91.3.141:4242"')
LISTENERS = tuple(
    Listener(name, parse_socket_address(address), transport)
    for name, address, transport in (
        ("tls", f"0.0.0.0:{TLS}", Transport.MTLS),
        ("tls6", f"[::]:{TLS}", Transport.MTLS),
        ("plain", f"0.0.0.0:{PLAIN}", Transport.PLAIN),
    )
)
SOURCES = {
    1: ("10.91.1.2", "10.91.1.130", "10.91.1.200", v6(1, 2)),
    2: ("10.91.2.2", "10.91.2.130", "10.91.2.131", "10.91.2.140", "10.91.2.150", v6(2, 2)),
    3: ("10.91.3.2", "10.91.3.140", "10.91.3.141"),
    4: ("10.91.4.130",),
    5: ("10.91.5.2", "10.91.5.130"),
}
CALLS = tuple(
    Call(network, source, port)
    for network, sources in SOURCES.items()
    for source in sources
    for port in (TLS, PLAIN, SSH)
)
DELIVERIES = (
    Delivery(2, "10.91.2.2", 4242),
    Delivery(2, "10.91.2.2", 104),
    Delivery(2, "10.91.2.130", 4242),
    Delivery(3, "10.91.3.141", 4242),
)


def require(program: str, package: str) -> str:
    """Where a firewall's program is. A missing one fails in CI and skips elsewhere."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        message = f"{program} is missing: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def rules() -> Policy:
    found = check_policy(POLICY, path="policy.toml", now=NOW).policy
    assert found is not None
    return found


@pytest.fixture(scope="module")
def passages(rules: Policy) -> Passages:
    return passages_of(rules, LISTENERS, NOW)


def expected(rules: Policy) -> CameThrough:
    """What the policy itself lets through, asked caller by caller."""

    def may(call: Call) -> bool:
        source = ip_address(call.source)
        ours = [
            listener
            for listener in LISTENERS
            if listener.address.port == call.port and listener.address.host.version == source.version
        ]  # where we do not listen, another service may, and is left alone
        whens = moments(rules, NOW)
        return not ours or any(may_be_admitted(rules, source, each.transport, whens) for each in ours)

    return CameThrough(frozenset(filter(may, CALLS)), frozenset({DELIVERIES[0]}))


def test_nftables_lets_through_what_the_policy_lets_and_no_more(
    rules: Policy, passages: Passages, tmp_path: Path
) -> None:
    nft = require("nft", "nftables")
    text = RENDERERS[Dialect.NFTABLES](passages, Archive("test", "root"))
    path = tmp_path / "leadglass.nft"
    path.write_text(text, encoding="utf-8")
    twice = (f"{nft} --check --file {path}", f"{nft} --file {path}", f"{nft} --file {path}")
    found = what_comes_through(Plan(twice, (TLS, PLAIN, SSH), CALLS, DELIVERIES), tmp_path)
    wanted = expected(rules)
    assert found.calls == wanted.calls
    assert found.deliveries == wanted.deliveries
    assert len(wanted.calls) not in (0, len(CALLS))


def test_without_the_firewall_all_of_it_comes_through(tmp_path: Path) -> None:
    found = what_comes_through(Plan((), (TLS, PLAIN, SSH), CALLS, DELIVERIES), tmp_path)
    assert found == CameThrough(frozenset(CALLS), frozenset(DELIVERIES))


def test_iptables_lets_through_what_the_policy_lets_and_no_more(
    rules: Policy, passages: Passages, tmp_path: Path
) -> None:
    archive = Archive("test", "root")
    load = []
    for dialect, tool in ((Dialect.IPTABLES, "iptables"), (Dialect.IP6TABLES, "ip6tables")):
        path = tmp_path / dialect
        path.write_text(RENDERERS[dialect](passages, archive), encoding="utf-8")
        restore = require(f"{tool}-restore", "iptables")
        load += [f"{restore} --noflush {path}"] * 2
        lines = path.read_text(encoding="utf-8").splitlines()
        load += [line.removeprefix("# Once: ") for line in lines if line.startswith("# Once: ")]
    load = [line if line.startswith("/") else f"PATH=$PATH:/usr/sbin:/sbin {line}" for line in load]
    found = what_comes_through(Plan(tuple(load), (TLS, PLAIN, SSH), CALLS, DELIVERIES), tmp_path)
    assert found == expected(rules)


def test_nft_checks_a_rendering_with_addresses_of_its_own(rules: Policy, tmp_path: Path) -> None:
    nft = require("nft", "nftables")
    bound = (Listener("tls", parse_socket_address("10.91.0.1:2762"), Transport.MTLS),)
    path = tmp_path / "bound.nft"
    path.write_text(RENDERERS[Dialect.NFTABLES](passages_of(rules, bound, NOW), Archive("test")), "utf-8")
    checked = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", nft, "--check", "--file", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
