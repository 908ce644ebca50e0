"""The passages as a table of nftables' own: ``nft --check --file``, then ``nft --file``."""

from __future__ import annotations

from collections.abc import Iterator

from leadglass.policy.render.passages import Inbound, Outbound, Passages
from leadglass.policy.render.words import Archive, short
from leadglass.sitefile.settings import Listener

MAX_COMMENT = 120  # of 128 that nft takes


def render_nftables(passages: Passages, archive: Archive) -> str:
    """One table, replaced whole each time it is loaded; it decides on the archive's listeners alone."""
    lines = [
        *archive.head("#"),
        "add table inet leadglass",
        "delete table inet leadglass",
        "table inet leadglass {",
        "  chain input {",
        "    type filter hook input priority filter; policy accept;",
        *(f"    {_to(listener)} jump to_archive" for listener in passages.listeners),
        "  }",
        "  chain to_archive {",
        "    ct state established,related accept",
        *_inbound(passages.inbound),
        "    counter drop",
        "  }",
    ]
    if archive.user:
        lines += [
            "  chain output {",
            "    type filter hook output priority filter; policy accept;",
            f'    meta skuid "{archive.user}" jump from_archive',
            "  }",
            "  chain from_archive {",
            "    ct state established,related accept",
            *_outbound(passages.outbound),
            "    counter drop",
            "  }",
        ]
    return "\n".join([*lines, "}", ""])


def _inbound(inbound: tuple[Inbound, ...]) -> Iterator[str]:
    for passage in inbound:
        family = _family(passage.sources[0].version)
        sources = ", ".join(map(str, passage.sources))
        comment = short(passage.because, MAX_COMMENT)
        way = f"{family} saddr {{ {sources} }} {_to(passage.listener)}"
        yield f'    {way} ct state new accept comment "{comment}"'


def _to(listener: Listener) -> str:
    """At that address and port: another address of the host may be another service's."""
    host, port = listener.address.host, listener.address.port
    if host.is_unspecified:
        return f"meta nfproto ipv{host.version} tcp dport {port}"
    return f"{_family(host.version)} daddr {host} tcp dport {port}"


def _outbound(outbound: tuple[Outbound, ...]) -> Iterator[str]:
    for passage in outbound:
        family = _family(passage.target.version)
        comment = short(passage.because, MAX_COMMENT)
        yield (
            f"    {family} daddr {passage.target.network_address} tcp dport {passage.port}"
            f' ct state new accept comment "{comment}"'
        )


def _family(version: int) -> str:
    return "ip" if version == 4 else "ip6"
