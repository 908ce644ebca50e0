from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from leadglass.audit.chain import canonical, chain_hash
from leadglass.audit.checkpoints import append_checkpoint, read_checkpoints
from leadglass.audit.signing import create_signer
from leadglass.audit.verify import PROBLEMS_TOLD
from leadglass.model.errors import IntegrityBroken
from tests.support.audit_rig import Rig, event

LINES = 10
COPY_3_TO_4 = """
    INSERT INTO audit_event SELECT 4, time_us, node, kind, outcome, who, body, hash
    FROM audit_event WHERE seq = 3
"""


@pytest.fixture
def signed(rig: Rig) -> Rig:
    """Ten lines, signed after the fifth and the tenth."""
    rig.append(*(event(who=f"device{number}") for number in range(5)))
    rig.checkpoint()
    rig.append(*(event(who=f"device{number}") for number in range(5, LINES)))
    rig.checkpoint()
    return rig


def test_a_trail_as_written_verifies(signed: Rig) -> None:
    told: list[int] = []
    result = signed.verify(told)
    assert (result.ok, result.events, result.checkpoints) == (True, LINES, 2)
    assert (result.first_broken, result.problems) == (None, ())
    assert told == [LINES]


@pytest.mark.parametrize(
    ("statements", "first_broken"),
    [
        (
            ["UPDATE audit_event SET body = CAST(replace(body, 'e6', 'e0') AS BLOB) WHERE seq = 7"],
            7,
        ),
        (["UPDATE audit_event SET time_us = time_us + 1 WHERE seq = 3"], 3),
        (["UPDATE audit_event SET node = 'SOUTH' WHERE seq = 3"], 3),
        (["UPDATE audit_event SET hash = zeroblob(32) WHERE seq = 4"], 4),
        (["DELETE FROM audit_event WHERE seq = 4"], 4),
        (["DELETE FROM audit_event WHERE seq = 1"], 1),
        (["DELETE FROM audit_event WHERE seq >= 8"], 8),
        (["DELETE FROM audit_event"], 1),
        (
            [
                "UPDATE audit_event SET seq = 99 WHERE seq = 2",
                "UPDATE audit_event SET seq = 2 WHERE seq = 3",
                "UPDATE audit_event SET seq = 3 WHERE seq = 99",
            ],
            2,
        ),
        (
            [
                "UPDATE audit_event SET seq = seq + 100 WHERE seq >= 4",
                "UPDATE audit_event SET seq = seq - 99 WHERE seq >= 100",
                COPY_3_TO_4,
            ],
            4,
        ),
    ],
    ids=["edit", "time", "node", "hash", "delete", "first", "cut", "empty", "reorder", "insert"],
)
def test_tampering_shows_and_where(signed: Rig, statements: list[str], first_broken: int) -> None:
    signed.tamper(*statements)
    result = signed.verify()
    assert not result.ok
    assert result.first_broken == first_broken


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET kind = 'x' WHERE seq = 6",
        "UPDATE audit_event SET outcome = 'denied' WHERE seq = 6",
        "UPDATE audit_event SET who = 'x' WHERE seq = 6",
        "UPDATE audit_event SET body = x'00' WHERE seq = 6",
    ],
)
def test_a_line_hidden_from_the_filters_shows(signed: Rig, statement: str) -> None:
    signed.tamper(statement)
    result = signed.verify()
    assert (result.ok, result.first_broken) == (False, 6)


def test_a_history_rewritten_with_good_hashes_contradicts_its_checkpoint(signed: Rig) -> None:
    """Whoever has the database's key can compute hashes, but not sign."""
    previous = bytes(32)
    with signed.engine.begin() as connection:
        rows = connection.execute(text("SELECT seq, time_us, node FROM audit_event ORDER BY seq")).all()
        for seq, time_us, node in rows:
            body = canonical(event(who="nobody"))
            previous = chain_hash(previous, seq, time_us, node, body)
            connection.execute(
                text("UPDATE audit_event SET body = :body, hash = :hash, who = 'nobody' WHERE seq = :seq"),
                {"body": body, "hash": previous, "seq": seq},
            )
    result = signed.verify()
    assert (result.ok, result.first_broken) == (False, 5)
    assert "contradicts its signed checkpoint" in result.problems[0]


def test_a_rolled_back_database_shows_though_its_own_checkpoints_agree(signed: Rig) -> None:
    signed.tamper("DELETE FROM audit_event WHERE seq > 5", "DELETE FROM audit_checkpoint WHERE seq > 5")
    result = signed.verify()
    assert (result.ok, result.first_broken) == (False, 6)
    assert "rolled back" in result.problems[0]


def test_a_rolled_back_database_that_grew_again_shows(signed: Rig) -> None:
    signed.tamper("DELETE FROM audit_event WHERE seq > 5", "DELETE FROM audit_checkpoint WHERE seq > 5")
    signed.append(*(event(who="other") for _ in range(7)))
    result = signed.verify()
    assert (result.ok, result.first_broken) == (False, 10)


def test_a_missing_or_cut_checkpoint_file_shows(signed: Rig) -> None:
    whole = signed.checkpoints.read_text().splitlines(keepends=True)
    signed.checkpoints.write_text(whole[0])
    assert signed.verify().problems == ("the checkpoint of line 10 is missing from the checkpoint file",)
    signed.checkpoints.unlink()
    assert len(signed.verify().problems) == 2


def test_a_forged_checkpoint_has_a_bad_signature(signed: Rig, tmp_path: Path) -> None:
    [first, _] = [each for each in read_checkpoints(signed.checkpoints) if each is not None]
    append_checkpoint(signed.checkpoints, replace(first, seq=3))
    stranger = create_signer(tmp_path / "stranger.key")
    append_checkpoint(signed.checkpoints, replace(first, signature=stranger.sign(first.message)))
    result = signed.verify()
    assert result.problems == tuple(
        f"line {number} of the checkpoint file has a bad signature" for number in (3, 4)
    )


def test_a_checkpoint_changed_in_the_database_has_a_bad_signature(signed: Rig) -> None:
    signed.tamper("UPDATE audit_checkpoint SET time_us = 0 WHERE seq = 5")
    assert signed.verify().problems == ("the checkpoint of line 5 in the database has a bad signature",)


@pytest.mark.parametrize(
    "junk", [b"\n", b"2 1 1 00 00 N\n", b"1 x 1 00 00 N\n", b"1 1 1 zz 00 N\n", b"\xff\xfe\n", b"1" * 5000]
)
def test_junk_in_the_checkpoint_file_is_named_not_believed(signed: Rig, junk: bytes) -> None:
    with signed.checkpoints.open("ab") as file:
        file.write(junk)
    result = signed.verify()
    assert not result.ok
    assert result.checkpoints == 2
    assert all("cannot be read" in problem for problem in result.problems)


def test_the_problems_told_are_few_however_many_there_are(signed: Rig) -> None:
    signed.append(*[event()] * 100)
    signed.tamper("UPDATE audit_event SET time_us = 0")
    result = signed.verify()
    assert len(result.problems) == PROBLEMS_TOLD
    assert (result.ok, result.first_broken, result.events) == (False, 1, 110)


def test_a_trail_that_cannot_be_read_is_broken(signed: Rig) -> None:
    signed.tamper("DROP TABLE audit_event")
    with pytest.raises(IntegrityBroken):
        signed.verify()


def test_a_checkpoint_file_that_cannot_be_read_is_broken(signed: Rig) -> None:
    signed.checkpoints.unlink()
    signed.checkpoints.mkdir()
    with pytest.raises(IntegrityBroken):
        signed.verify()
