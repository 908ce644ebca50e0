from __future__ import annotations

from ipaddress import ip_network

import pytest

from leadglass.policy.network import contains, is_public, is_public_address, parse_address


def test_ipv4_that_came_mapped_into_ipv6_is_ipv4() -> None:
    assert str(parse_address("::ffff:10.20.1.5")) == "10.20.1.5"
    assert str(parse_address("2001:db8::1")) == "2001:db8::1"


def test_scope_of_an_ipv6_address_is_dropped_with_whatever_it_holds() -> None:
    assert str(parse_address("fe80::1%\x1b[2J")) == "fe80::1"


@pytest.mark.parametrize(
    ("cidr", "public"),
    [
        ("10.20.0.0/16", False),
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("203.0.113.0/28", True),
        ("172.0.0.0/11", True),
        ("fd00::/8", False),
        ("127.0.0.1/32", False),
    ],
)
def test_range_is_public_unless_all_of_it_is_inside(cidr: str, public: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_public(ip_network(cidr)) is public


def test_ranges_of_two_versions_never_contain_one_another() -> None:
    assert not contains(ip_network("::/0"), ip_network("10.0.0.0/8"))


def test_address_of_the_internet_is_public() -> None:
    assert is_public_address(parse_address("198.51.100.7"))
    assert not is_public_address(parse_address("192.168.1.1"))
