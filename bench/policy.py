"""A policy of 500 devices and 200 flows: decisions a second on one core, and what a reload and a diff take.

Printed, not tested. `make decisions`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.console import Console

from leadglass.model.action import Action, Facts, Verb
from leadglass.model.caller import CertificateFacts, Peer, Transport
from leadglass.policy import Policy, load_policy
from leadglass.policy.engine import evaluate
from leadglass.policy.reach import compare

ZONES, DEVICES, FLOWS, ROUNDS = 20, 500, 200, 40
VERBS = '"echo", "store", "find"'
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ASKED = (Action(Verb.STORE, facts=Facts(modality="CT")), Action(Verb.FIND), Action(Verb.GET))


def policy_text(verbs: str = VERBS) -> str:
    """Such a policy; the first flow gives ``verbs``."""
    zones = [f'z{n} = {{ cidr = ["10.{n}.0.0/16"], transport = "mtls" }}' for n in range(ZONES)]
    devices = [
        f'd{n} = {{ zone = "z{n % ZONES}", ae = ["AE{n}"], makes = ["CT", "SR"] }}' for n in range(DEVICES)
    ]
    flows = [
        f'f{n} = {{ from = ["d{n}", "d{n + FLOWS}", "zone:z{n % ZONES}"], to = "archive", '
        f"can = [{VERBS if n else verbs}] }}"
        for n in range(FLOWS)
    ]
    return "\n".join(("version = 1", "[zones]", *zones, "[devices]", *devices, "[flows]", *flows))


def peers() -> list[Peer]:
    """Each device, as it should come."""
    return [
        Peer(
            address=f"10.{n % ZONES}.0.9",
            transport=Transport.MTLS,
            listener="bench",
            certificate=CertificateFacts(
                "0" * 64, n + 1, f"CN=d{n}", issued_here=True, device=f"d{n}", not_after=NOW
            ),
            calling_ae=f"AE{n}",
            called_ae="NORTH",
        )
        for n in range(DEVICES)
    ]


def decisions_a_second(policy: Policy) -> float:
    """Every device asks for each of three things, again and again."""
    callers = peers()
    started = time.process_time()
    for _ in range(ROUNDS):
        for caller in callers:
            for action in ASKED:
                evaluate(policy, caller, action, NOW)
    return ROUNDS * len(callers) * len(ASKED) / (time.process_time() - started)


def main() -> None:
    """Measure, print."""
    console = Console()
    started = time.perf_counter()
    policy = load_policy(policy_text(), path="policy.toml", now=NOW)
    console.print(f"read and checked in {time.perf_counter() - started:.2f} s")
    console.print(f"{decisions_a_second(policy):,.0f} decisions a second on one core")
    wider = load_policy(policy_text(f'{VERBS}, "get"'), path="policy.toml", now=NOW)
    started = time.perf_counter()
    found = compare(policy, wider, NOW)
    took_s = time.perf_counter() - started
    console.print(f"compared in {took_s:.1f} s: {found.examined:,} cells, {len(found.opened)} opened")


if __name__ == "__main__":
    main()
