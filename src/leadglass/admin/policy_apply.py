"""Putting another policy in force: first what it would change, then, if that is meant, in one step.

Between the two nothing is held: who asks a person must not make a revocation wait for the answer. A policy
that was changed meanwhile is not overwritten.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from leadglass.admin.desk import Desk, require
from leadglass.admin.policy_explain import with_rule
from leadglass.admin.policy_files import (
    PolicyDraft,
    changing_policy,
    draft_policy,
    former_policy,
    read_policy_text,
    standing_text,
)
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit
from leadglass.policy import check_policy, load_policy, parse_question
from leadglass.policy.narrowest import narrowest_rule
from leadglass.policy.reach import Difference, compare

EMPTY = "version = 1\n"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy that could be put in force. ``standing`` is the text it would replace.

    Where ``standing_is_broken``, the difference is to a policy that permits nothing.
    """

    draft: PolicyDraft
    standing: str
    difference: Difference
    standing_is_broken: bool = False

    @property
    def is_standing(self) -> bool:
        """Whether it is in place already, word for word."""
        return self.draft.text == self.standing


def propose(permit: Permit, desk: Desk, path: Path) -> Proposal:
    """Check a policy file, run its tests, compare it with the policy in place.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: one of the files cannot be read.
        PolicyInvalid, PolicyTestsFailed: it may not be used.
    """
    require(permit, Verb.MANAGE)
    return proposal_of(desk, path, read_policy_text(path), standing_text(desk.policy_path))


def propose_rule(permit: Permit, desk: Desk, question: str, last_day: date, reason: str) -> Proposal:
    """The same of the policy in place with the narrowest rule that permits what is asked, until a day.

    Raises:
        AllowedAlready, NoRuleHelps
        QuestionInvalid: the question is not understood.
        ConfigurationInvalid: the policy in place cannot be read, has errors, or must be edited by hand.
        As ``propose``.
    """
    require(permit, Verb.MANAGE)
    now = desk.authority.clock.now()
    standing = read_policy_text(desk.policy_path)
    policy = load_policy(standing, path=str(desk.policy_path), now=now)
    rule = narrowest_rule(policy, parse_question(question), now)
    return proposal_of(desk, desk.policy_path, with_rule(standing, rule, last_day, reason), standing)


def proposal_of(desk: Desk, path: Path, text: str, standing: str) -> Proposal:
    """A text that would take the place of ``standing``; ``path`` is how findings call its file.

    Raises:
        PolicyInvalid, PolicyTestsFailed: it may not be used.
    """
    now = desk.authority.clock.now()
    draft = draft_policy(path, text, now)
    old = check_policy(standing, path=str(desk.policy_path), now=now).policy if _is_text(standing) else None
    against = old or load_policy(EMPTY, path="", now=now)
    return Proposal(draft, standing, compare(against, draft.policy, now), standing_is_broken=old is None)


def _is_text(standing: str) -> bool:
    """Whether the policy in place is UTF-8: a server would take no other."""
    try:
        standing.encode()
    except UnicodeEncodeError:
        return False
    return True


def propose_former(permit: Permit, desk: Desk) -> Proposal:
    """The same of the policy that the last change replaced.

    Raises:
        ConfigurationInvalid: none is kept.
        As ``propose``.
    """
    require(permit, Verb.MANAGE)
    former = former_policy(desk.policy_path)
    if not former.is_file():
        raise ConfigurationInvalid(f"no earlier policy is kept: there is no {former}")
    return propose(permit, desk, former)


def put_in_force(permit: Permit, desk: Desk, proposal: Proposal, reason: str) -> None:
    """Replace the policy in one step, keep the old one beside it, and record both.

    Raises:
        NotPermitted: ``permit`` is not for MANAGE.
        ConfigurationInvalid: the policy was changed since the proposal was made; it is as it was.
    """
    require(permit, Verb.MANAGE)
    with changing_policy(desk.policy_path, standing_text) as (text, write):
        if text != proposal.standing:
            raise ConfigurationInvalid(
                f"{desk.policy_path} was changed meanwhile: look at the difference again"
            )
        write(proposal.draft)
    opened, closed = proposal.difference.opened, proposal.difference.closed
    done = f"{len(opened)} opened, {len(closed)} closed, sha256 {_digest(proposal.draft.text)}"
    desk.record(permit, "policy.applied", desk.policy_path.name, f"{done}; {reason}" if reason else done)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
