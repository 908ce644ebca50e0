"""Configurations of other archives, invented, and what an import makes of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from leadglass.admin.importing.found import Outcome, Remark
from leadglass.admin.importing.proposal import Proposal
from leadglass.policy import Policy, explain, load_policy, parse_question

CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "import"
ORTHANC = CORPUS / "orthanc.json"
DCM4CHEE = CORPUS / "dcm4chee.ldif"

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
LAST_DAY = date(2027, 2, 25)  # 90 days later


def policy_of(proposal: Proposal) -> Policy:
    """The policy as our own reader has it."""
    return load_policy(proposal.text, path="proposal.toml", now=NOW)


def allows(policy: Policy, question: str) -> bool:
    """The answer to a question as of NOW."""
    return explain(policy, parse_question(question), NOW).allowed


def about(remarks: tuple[Remark, ...], what: str) -> Remark:
    """The one remark on something."""
    (found,) = (remark for remark in remarks if remark.what == what)
    return found


def left_out(remarks: tuple[Remark, ...]) -> set[str]:
    """What was left out."""
    return {remark.what for remark in remarks if remark.outcome is Outcome.LEFT_OUT}
