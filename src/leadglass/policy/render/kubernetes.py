"""The passages as a NetworkPolicy of Kubernetes, ``networking.k8s.io/v1``; all else is denied by it."""

from __future__ import annotations

from collections.abc import Iterator

from leadglass.policy.render.passages import Passages
from leadglass.policy.render.words import Archive, plain

LABEL = "leadglass"


def render_kubernetes(passages: Passages, archive: Archive) -> str:
    """One policy, for pods with the label ``app: leadglass``; in and out."""
    beyond = passages.beyond_this_host()
    lines = [
        *archive.head("#"),
        "apiVersion: networking.k8s.io/v1",
        "kind: NetworkPolicy",
        "metadata:",
        f"  name: {LABEL}",
        "spec:",
        "  podSelector:",
        "    matchLabels:",
        f"      app: {LABEL}",
        "  policyTypes:",
        "    - Ingress",
        "    - Egress",
        *_section("ingress", list(_inbound(beyond))),
        *_section("egress", list(_outbound(beyond))),
    ]
    return "\n".join([*lines, ""])


def _section(name: str, rules: list[str]) -> list[str]:
    return [f"  {name}:", *rules] if rules else [f"  {name}: []"]


def _inbound(passages: Passages) -> Iterator[str]:
    for passage in passages.inbound:
        yield f"    # {plain(passage.because)}"
        yield "    - from:"
        yield from (f"        - ipBlock: {{cidr: {_quoted(source)}}}" for source in passage.sources)
        yield from _port(passage.listener.address.port)


def _outbound(passages: Passages) -> Iterator[str]:
    for passage in passages.outbound:
        yield f"    # {plain(passage.because)}"
        yield "    - to:"
        yield f"        - ipBlock: {{cidr: {_quoted(passage.target)}}}"
        yield from _port(passage.port)


def _port(port: int) -> list[str]:
    return ["      ports:", f"        - {{protocol: TCP, port: {port}}}"]


def _quoted(network: object) -> str:
    return f'"{network}"'
