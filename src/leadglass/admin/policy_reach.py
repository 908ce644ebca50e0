"""Two policies compared, and one laid open: who can do what. Reads files, or what git keeps of them."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from leadglass.admin.desk import require
from leadglass.admin.policy_files import read_policy_text
from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit
from leadglass.policy import Policy, PolicyInvalid, QuestionInvalid, check_policy
from leadglass.policy.invariant import STUDIES, Verdict, parse_invariant, prove
from leadglass.policy.model import ANY
from leadglass.policy.reach import Difference, Reach, compare, reach
from leadglass.policy.space import Cell, Space
from leadglass.sitefile import decode_text, quoted, suggest

GIT_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of the reach: by name of who asks, of the target, of the zone they come from."""

    who: str | None = None
    what: str | None = None
    zone: str | None = None


def difference(permit: Permit, old: str, new: str, at: Path, now: datetime) -> Difference:
    """What changes between two policies, each a file or a git revision of the policy at ``at``.

    Their tests are not run: a policy is compared before it is good.

    Raises:
        ConfigurationInvalid: one cannot be read or has errors; PolicyInvalid has the findings.
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    return compare(_policy(old, at, now), _policy(new, at, now), now)


def reach_of(permit: Permit, path: Path, wanted: Wanted, now: datetime) -> list[Reach]:
    """What a policy file lets whom do.

    Raises:
        ConfigurationInvalid: it cannot be read or has errors.
        QuestionInvalid: it does not know a name that is wanted.
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    policy = _load(read_policy_text(path), str(path), now)
    _require_known("who", wanted.who, Space((policy,), now).subjects())
    _require_known("what", wanted.what, (STUDIES, ARCHIVE, ANY, *policy.devices))
    _require_known("from", wanted.zone, policy.zones)
    return list(reach(policy, now, lambda cell: _is_wanted(policy, cell, wanted)))


def prove_invariant(permit: Permit, path: Path, text: str, now: datetime) -> Verdict:
    """Whether a policy file keeps an invariant in every cell of its decision space.

    Raises:
        ConfigurationInvalid: the file cannot be read or has errors.
        QuestionInvalid: the invariant is not understood.
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    policy = _load(read_policy_text(path), str(path), now)
    return prove(policy, parse_invariant(text, policy), now)


def _require_known(option: str, name: str | None, known: Collection[str]) -> None:
    if name is not None and name not in known:
        raise QuestionInvalid(f"--{option} {quoted(name)} is unknown; {suggest(name, known)}")


def _is_wanted(policy: Policy, cell: Cell, wanted: Wanted) -> bool:
    if wanted.who is not None and cell.subject != wanted.who:
        return False
    if wanted.what is not None and cell.target not in _targets(wanted.what):
        return False
    return wanted.zone is None or wanted.zone == _zone_of(policy, cell)


def _targets(what: str) -> tuple[str, ...]:
    return (ARCHIVE, ANY) if what == STUDIES else (what,)


def _zone_of(policy: Policy, cell: Cell) -> str | None:
    device = policy.devices.get(cell.subject)
    if device is not None:
        return device.zone
    watched = {each.subject: each.zone for each in policy.learning.values()}
    return watched.get(cell.subject) or dict(cell.circumstances).get("from")


def _policy(named: str, at: Path, now: datetime) -> Policy:
    path = Path(named)
    if path.is_file():
        return _load(read_policy_text(path), named, now)
    return _load(_from_git(named, at), f"{named}:{at.name}", now)


def _load(text: str, path: str, now: datetime) -> Policy:
    checked = check_policy(text, path=path, now=now)
    if checked.policy is None:
        raise PolicyInvalid(checked.findings)
    return checked.policy


def _from_git(revision: str, at: Path) -> str:
    """The policy as a revision of the repository that it lies in has it."""
    unknown = f"{revision} is neither a file nor a revision of a git repository that holds {at}"
    if revision.startswith("-") or ":" in revision:
        raise ConfigurationInvalid(unknown)
    policy = at.resolve()
    command = ("git", "-C", str(policy.parent), "cat-file", "blob", f"{revision}:./{policy.name}")
    try:
        shown = subprocess.run(command, capture_output=True, timeout=GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationInvalid(
            f"{revision} is not a file, and git could not be asked: {error}"
        ) from error
    if shown.returncode != 0:
        raise ConfigurationInvalid(unknown)
    return decode_text(shown.stdout, path=f"{revision}:{at.name}")
