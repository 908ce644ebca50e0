"""The passages in the form of iptables-save, for ``iptables-restore --noflush``; one family at a time."""

from __future__ import annotations

from collections.abc import Iterator

from leadglass.policy.render.passages import Passages
from leadglass.policy.render.words import Archive, short
from leadglass.sitefile.settings import Listener

MAX_COMMENT = 200  # of 256 that the match takes
TO, FROM = "LEADGLASS-IN", "LEADGLASS-OUT"


def render_iptables(passages: Passages, archive: Archive) -> str:
    """The rules for IPv4."""
    return _render(passages, archive, 4)


def render_ip6tables(passages: Passages, archive: Archive) -> str:
    """The rules for IPv6."""
    return _render(passages, archive, 6)


def _render(passages: Passages, archive: Archive, version: int) -> str:
    tool = "iptables" if version == 4 else "ip6tables"
    jumps = [
        f"# Once: {tool} -I INPUT{_to(listener)} -j {TO}"
        for listener in passages.listeners
        if listener.address.host.version == version
    ]
    chains = [f":{TO} - [0:0]"]
    rules = [
        f"-A {TO} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        *_inbound(passages, version),
        f"-A {TO} -j DROP",
    ]
    if archive.user:
        jumps.append(f"# Once: {tool} -I OUTPUT -m owner --uid-owner {archive.user} -j {FROM}")
        chains.append(f":{FROM} - [0:0]")
        rules += [
            f"-A {FROM} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
            *_outbound(passages, version),
            f"-A {FROM} -j DROP",
        ]
    return "\n".join([*archive.head("#"), *jumps, "*filter", *chains, *rules, "COMMIT", ""])


def _inbound(passages: Passages, version: int) -> Iterator[str]:
    for passage in passages.inbound:
        for source in passage.sources:
            if source.version == version:
                yield (
                    f"-A {TO} -s {source}{_to(passage.listener)}"
                    f' -m comment --comment "{short(passage.because, MAX_COMMENT)}" -j ACCEPT'
                )


def _to(listener: Listener) -> str:
    """At that address and port: another address of the host may be another service's."""
    host, port = listener.address.host, listener.address.port
    return f"{'' if host.is_unspecified else f' -d {host}'} -p tcp -m tcp --dport {port}"


def _outbound(passages: Passages, version: int) -> Iterator[str]:
    for passage in passages.outbound:
        if passage.target.version == version:
            yield (
                f"-A {FROM} -d {passage.target} -p tcp -m tcp --dport {passage.port}"
                f' -m comment --comment "{short(passage.because, MAX_COMMENT)}" -j ACCEPT'
            )
