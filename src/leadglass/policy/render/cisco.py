"""The passages as named access lists of Cisco IOS, for the interface in front of the archive."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from leadglass.policy.network import Network
from leadglass.policy.render.passages import Passages
from leadglass.policy.render.words import Archive, short

MAX_REMARK = 100
_HOST_BITS = {4: 32, 6: 128}


def render_cisco(passages: Passages, archive: Archive) -> str:
    """A list for each family and direction: TO in front of the archive, FROM for what it sends.

    Each is removed and made anew: lines that are entered into a list that is there go behind its ``deny``.
    """
    beyond = passages.beyond_this_host()
    lines = archive.head("!")
    for version, opening, suffix in ((4, "ip access-list extended", ""), (6, "ipv6 access-list", "6")):
        for way, rules in (("TO", _inbound(beyond, version)), ("FROM", _outbound(beyond, version))):
            name = f"{opening} LEADGLASS-{way}{suffix}"
            lines += [f"no {name}", name, *rules, *_others(version)]
    return "\n".join([*lines, ""])


def _inbound(passages: Passages, version: int) -> Iterator[str]:
    for passage in passages.inbound:
        sources = [source for source in passage.sources if source.version == version]
        if sources:
            yield f" remark {short(passage.because, MAX_REMARK)}"
        host = passage.listener.address.host
        to = "any" if host.is_unspecified else f"host {host}"
        for source in sources:
            yield f" permit tcp {_named(source)} {to} eq {passage.listener.address.port}"


def _outbound(passages: Passages, version: int) -> Iterator[str]:
    for passage in passages.outbound:
        if passage.target.version == version:
            yield f" remark {short(passage.because, MAX_REMARK)}"
            yield f" permit tcp any {_named(passage.target)} eq {passage.port}"


def _others(version: int) -> list[str]:
    """Answers on connections that stand, and no more.

    IPv6 finds its neighbours by ICMP, which a ``deny`` that is written out denies too: RFC 4861.
    """
    answers = " permit tcp any any established"
    if version == 4:
        return [answers, " deny ip any any log"]
    neighbours = [f" permit icmp any any {word}" for word in ("nd-na", "nd-ns")]
    return [answers, *neighbours, " deny ipv6 any any log"]


def _named(network: Network) -> str:
    if network.prefixlen == _HOST_BITS[network.version]:
        return f"host {network.network_address}"
    if not network.prefixlen:
        return "any"
    if isinstance(network, IPv4Network):
        return f"{network.network_address} {network.hostmask}"
    return str(network)
