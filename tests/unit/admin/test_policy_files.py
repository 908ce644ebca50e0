from __future__ import annotations

import stat
from pathlib import Path

import pytest

from leadglass.admin.desk import Desk
from leadglass.admin.policy_explain import explain_question
from leadglass.admin.policy_files import (
    changing_policy,
    check_file,
    draft_policy,
    read_policy_text,
)
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid, NotPermitted
from leadglass.policy import PolicyInvalid, QuestionInvalid
from tests.support.admin_desk import HandClock, permit_to

STATUS = permit_to(Verb.STATUS)


def test_unreadable_policy_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with pytest.raises(ConfigurationInvalid, match=r"cannot read .*policy\.toml"):
        read_policy_text(path)
    path.write_bytes(b"version = 1 # caf\xe9")
    with pytest.raises(ConfigurationInvalid, match=r"policy.toml:1:18: error: not UTF-8 text"):
        read_policy_text(path)


def test_check_finds_errors_with_their_place(desk: Desk, clock: HandClock, tmp_path: Path) -> None:
    assert check_file(STATUS, desk.policy_path, clock.at).policy is not None
    draft = tmp_path / "draft.toml"
    draft.write_text(desk.policy_path.read_text().replace("transport", "transprot", 1))
    checked = check_file(STATUS, draft, clock.at)
    assert checked.policy is None
    assert any("transprot" in str(finding) for finding in checked.findings)


def test_question_is_answered_from_the_file(desk: Desk, clock: HandClock) -> None:
    explained = explain_question(STATUS, desk.policy_path, "internet echo archive", clock.at)
    assert not explained.decision.allowed
    assert explained.advice is None
    with pytest.raises(QuestionInvalid):
        explain_question(STATUS, desk.policy_path, "ct1 store archive", clock.at)
    desk.policy_path.write_text("version = 2\n")
    with pytest.raises(PolicyInvalid):
        explain_question(STATUS, desk.policy_path, "internet echo archive", clock.at)


def test_asking_takes_a_permit_to_see_the_status(desk: Desk, clock: HandClock) -> None:
    with pytest.raises(NotPermitted):
        check_file(permit_to(Verb.STORE), desk.policy_path, clock.at)
    with pytest.raises(NotPermitted):
        explain_question(permit_to(Verb.STORE), desk.policy_path, "internet echo archive", clock.at)


def test_written_policy_keeps_mode_link_and_predecessor(desk: Desk, clock: HandClock, tmp_path: Path) -> None:
    desk.policy_path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(desk.policy_path)
    with changing_policy(link) as (text, write):
        write(draft_policy(link, text + "# more\n", clock.at))
    assert link.is_symlink()
    assert desk.policy_path.read_text() == text + "# more\n"
    assert stat.S_IMODE(desk.policy_path.stat().st_mode) == 0o640
    assert desk.policy_path.with_name("policy.toml.1").read_text() == text


def written(path: Path) -> tuple[int, ...]:
    """What changes when a file is written, to the nanosecond; reading it changes only when it was read."""
    facts = path.stat()
    return facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def test_unchanged_policy_is_not_rewritten(desk: Desk, clock: HandClock) -> None:
    before = written(desk.policy_path)
    with changing_policy(desk.policy_path) as (text, write):
        write(draft_policy(desk.policy_path, text, clock.at))
    assert written(desk.policy_path) == before
    assert not desk.policy_path.with_name("policy.toml.1").exists()
