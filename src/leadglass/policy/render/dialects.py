"""The firewalls that a policy can be rendered for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from leadglass.policy.render.aws import render_aws
from leadglass.policy.render.cisco import render_cisco
from leadglass.policy.render.iptables import render_ip6tables, render_iptables
from leadglass.policy.render.kubernetes import render_kubernetes
from leadglass.policy.render.nftables import render_nftables
from leadglass.policy.render.passages import Passages
from leadglass.policy.render.words import Archive


class Dialect(StrEnum):
    """A firewall's language."""

    NFTABLES = "nftables"
    IPTABLES = "iptables-save"
    IP6TABLES = "ip6tables-save"
    KUBERNETES = "k8s-networkpolicy"
    AWS = "aws-security-group"
    CISCO = "cisco-acl"


BINDS_ACCOUNTS = frozenset({Dialect.NFTABLES, Dialect.IPTABLES, Dialect.IP6TABLES})
"""Those that can bind what one account of the host sends."""

RENDERERS: Mapping[Dialect, Callable[[Passages, Archive], str]] = MappingProxyType(
    {
        Dialect.NFTABLES: render_nftables,
        Dialect.IPTABLES: render_iptables,
        Dialect.IP6TABLES: render_ip6tables,
        Dialect.KUBERNETES: render_kubernetes,
        Dialect.AWS: render_aws,
        Dialect.CISCO: render_cisco,
    }
)
