"""``policy.toml`` on disk: read, check, and change whole or not at all."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from leadglass.admin.desk import require
from leadglass.identity.files import locked, read_file, replace_file
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit
from leadglass.policy import (
    Checked,
    FailedTest,
    Policy,
    PolicyInvalid,
    check_policy,
    newly_failed,
)
from leadglass.sitefile import decode_text

_KEEP_BYTES = "surrogateescape"


class PolicyTestsFailed(ConfigurationInvalid):
    """The policy's own tests refuse a change; the file is as it was. ``failed`` says which and why.

    ``file`` is where they stand, if it holds the very text that was refused.
    """

    def __init__(self, failed: tuple[FailedTest, ...], file: Path | None = None) -> None:
        super().__init__("\n".join(test.told(str(file)) if file else str(test) for test in failed))
        self.failed = failed


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """A change that was checked and can be written."""

    text: str
    policy: Policy


def read_policy_text(path: Path) -> str:
    """The file as text.

    Raises:
        ConfigurationInvalid: missing, unreadable, too large, or not UTF-8.
    """
    return decode_text(read_file(path), path=str(path))


def standing_text(path: Path) -> str:
    """The policy in place, to be replaced and kept: bytes that are no text are carried along.

    Raises:
        ConfigurationInvalid: missing, unreadable or too large.
    """
    return read_file(path).decode(errors=_KEEP_BYTES)


def check_file(permit: Permit, path: Path, now: datetime) -> Checked:
    """Check a policy file, the one in force or a draft: findings and failed tests.

    Raises:
        ConfigurationInvalid: it cannot be read at all.
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    return check_policy(read_policy_text(path), path=str(path), now=now)


def draft_policy(path: Path, text: str, now: datetime) -> PolicyDraft:
    """A changed policy, if it has no errors and its tests pass.

    Raises:
        PolicyInvalid: it has errors.
        PolicyTestsFailed: its tests refuse it.
    """
    policy, failed = _tested(path, text, now)
    if failed:
        raise PolicyTestsFailed(failed, path if path.is_file() and read_policy_text(path) == text else None)
    return PolicyDraft(text, policy)


def draft_restriction(path: Path, before: str, text: str, now: datetime) -> PolicyDraft:
    """The same of a change that only shuts out: tests that failed before it do not stop it.

    Raises:
        As ``draft_policy``.
    """
    policy, failed = _tested(path, text, now)
    standing = check_policy(before, path=str(path), now=now).policy
    against = failed if standing is None else newly_failed(failed, standing, now)
    if against:
        raise PolicyTestsFailed(against)
    return PolicyDraft(text, policy)


def _tested(path: Path, text: str, now: datetime) -> tuple[Policy, tuple[FailedTest, ...]]:
    checked = check_policy(text, path=str(path), now=now)
    if checked.policy is None:
        raise PolicyInvalid(checked.findings)
    return checked.policy, checked.failed_tests


def former_policy(path: Path) -> Path:
    """Where the text is kept that the last change replaced."""
    path = path.resolve()
    return path.with_name(f"{path.name}.1")


@contextmanager
def changing_policy(
    path: Path, read: Callable[[Path], str] = read_policy_text
) -> Iterator[tuple[str, Callable[[PolicyDraft], None]]]:
    """Hold the policy against other Leadglass processes: its text, and how to write a draft.

    Writing keeps the file's mode and leaves the old text as ``policy.toml.1``. ``read`` is ``standing_text``
    where the old text is replaced whatever it is.

    Raises:
        ConfigurationInvalid: as ``read``; or, on writing, an editor was faster.
    """
    path = path.resolve()  # a link to the policy stays a link
    with locked(path.with_name(f".{path.name}.lock")):
        before = read(path)

        def write(draft: PolicyDraft) -> None:
            if draft.text == before:
                return
            if read(path) != before:
                raise ConfigurationInvalid(f"{path} was changed by somebody else meanwhile: try again")
            mode = stat.S_IMODE(path.stat().st_mode)
            replace_file(former_policy(path), before.encode(errors=_KEEP_BYTES), mode)
            replace_file(path, draft.text.encode(), mode)

        yield before, write
