"""From the text of ``policy.toml`` to a policy that may be used, or to everything wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from leadglass.policy.checks import check_agreement
from leadglass.policy.idle import warn_of_idle_rules
from leadglass.policy.policy import Policy
from leadglass.policy.reader import read_policy
from leadglass.policy.tests import FailedTest, run_tests
from leadglass.sitefile import FileInvalid, Finding, Severity, read_source
from leadglass.sitefile.table import Notes


class PolicyInvalid(FileInvalid):
    """The policy is refused: ``findings`` holds its errors and warnings, a failed test being an error."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. ``policy`` is ``None`` when there are errors; then no tests were run."""

    policy: Policy | None
    findings: tuple[Finding, ...]
    failed_tests: tuple[FailedTest, ...]


def check_policy(text: str, *, path: str, now: datetime) -> Checked:
    """Read and check a policy, and run its tests as of ``now`` (aware). Raises nothing.

    ``path`` is how findings call the file.
    """
    try:
        source = read_source(text, path=path)
    except FileInvalid as error:
        return Checked(None, error.findings, ())
    notes = Notes(source)
    policy = read_policy(notes)
    check_agreement(policy, now.astimezone(UTC).date(), notes)
    if notes.errors:
        return Checked(None, notes.findings, ())
    warn_of_idle_rules(policy, now, notes)
    return Checked(policy, notes.findings, run_tests(policy, now))


def load_policy(text: str, *, path: str, now: datetime) -> Policy:
    """A policy without errors whose tests pass as of ``now`` (aware).

    Raises:
        PolicyInvalid: with every finding; a failed test is one.
    """
    checked = check_policy(text, path=path, now=now)
    if checked.policy is None or checked.failed_tests:
        failures = tuple(_as_finding(failure, path) for failure in checked.failed_tests)
        raise PolicyInvalid(checked.findings + failures)
    return checked.policy


def _as_finding(failure: FailedTest, path: str) -> Finding:
    return Finding(Severity.ERROR, path, failure.place.line, failure.place.column, str(failure))
