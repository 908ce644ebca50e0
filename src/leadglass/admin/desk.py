"""What the use cases of administration share: where they work, and whose permit they take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from leadglass.identity.authority import Authority
from leadglass.model.action import SITE, Verb
from leadglass.model.errors import NotPermitted
from leadglass.model.event import AuditEvent, Outcome, under
from leadglass.model.permit import Permit


class Recorder(Protocol):
    """Takes what was done for the audit trail; the gate is one."""

    def record(self, event: AuditEvent) -> None:
        """Queue one line.

        Raises:
            AuditFailed: the trail cannot be written now.
        """


@dataclass(frozen=True, slots=True)
class Desk:
    """One site's administration: its policy, its authority (and the authority's clock), its trail."""

    policy_path: Path
    authority: Authority
    recorder: Recorder

    def record(self, permit: Permit, kind: str, target: str, reason: str) -> None:
        """Record that the holder of ``permit`` did something to ``target``."""
        record(self.recorder, permit, kind, target, reason)


def record(
    recorder: Recorder,
    permit: Permit,
    kind: str,
    target: str,
    reason: str,
    outcome: Outcome = Outcome.DONE,
) -> None:
    """Record what the holder of ``permit`` did to ``target``, and how it ended."""
    recorder.record(replace(under(permit, kind, outcome, reason=reason), target=target))


def require(permit: Permit, verb: Verb) -> None:
    """Let pass only a permit for this verb on the site itself.

    Raises:
        NotPermitted: the permit is for something else.
    """
    if permit.action.verb is not verb or permit.action.target != SITE:
        raise NotPermitted(f"this takes a permit to {verb} the site")
