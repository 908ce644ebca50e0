from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from leadglass.audit.read import tail
from leadglass.audit.signing import open_signer
from leadglass.audit.trail import CHECKPOINT_EVENTS, CHECKPOINT_S, AuditTrail
from leadglass.index.engine import open_engine, reading
from leadglass.model.errors import AuditFailed, LocalError
from leadglass.model.event import AuditEvent, Outcome
from tests.support.audit_rig import Rig, event


def _checkpoint_lines(rig: Rig) -> list[str]:
    return rig.checkpoints.read_text().splitlines() if rig.checkpoints.exists() else []


def _size(engine: Engine) -> int:
    with reading(engine).connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM audit_event")).scalar_one())


def test_events_of_several_batches_form_one_chain(rig: Rig) -> None:
    rig.append(event(), event("policy.reloaded"))
    rig.append(event("server.stopped"))
    result = rig.verify()
    assert (result.ok, result.events) == (True, 3)


def test_an_empty_batch_writes_nothing(rig: Rig) -> None:
    rig.append()
    assert rig.verify().events == 0


def test_events_leave_with_the_transaction_that_fails(rig: Rig) -> None:
    def fail() -> None:
        with rig.engine.begin() as connection:
            rig.trail.append(connection, [event()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    rig.append(event())
    assert rig.verify().events == 1


def test_two_processes_write_one_chain(rig: Rig, tmp_path: Path) -> None:
    other_engine = open_engine(str(tmp_path / "index.db"), bytes(32))
    other = AuditTrail("NORTH-CLI", rig.clock, open_signer(tmp_path / "audit.key"), rig.checkpoints)
    for _ in range(3):
        rig.append(event())
        with other_engine.begin() as connection:
            other.append(connection, [event("device.added", who="root")])
    result = rig.verify()
    assert (result.ok, result.events) == (True, 6)
    other_engine.dispose()


def test_processes_that_write_at_the_same_time_write_one_chain(rig: Rig, tmp_path: Path) -> None:
    script = tmp_path / "other.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.support.audit_rig import FakeClock, event\n"
        "from leadglass.audit.signing import open_signer\n"
        "from leadglass.audit.trail import AuditTrail\n"
        "from leadglass.index.engine import open_engine\n"
        "home = Path(sys.argv[1])\n"
        "engine = open_engine(str(home / 'index.db'), bytes(32))\n"
        "signer = open_signer(home / 'audit.key')\n"
        "trail = AuditTrail('NORTH-CLI', FakeClock(), signer, home / 'audit.checkpoints')\n"
        "print('ready', flush=True)\n"
        "for _ in range(40):\n"
        "    with engine.begin() as connection:\n"
        "        trail.append(connection, [event()])\n"
    )
    root = Path(__file__).resolve().parents[3]
    other = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        other.stdout.readline()
        for _ in range(40):
            rig.append(event(), event())
    assert other.returncode == 0
    result = rig.verify()
    assert (result.ok, result.events) == (True, 120)


def test_an_append_outside_of_a_transaction_is_refused(rig: Rig) -> None:
    with rig.engine.connect() as connection, pytest.raises(LocalError):
        rig.trail.append(connection, [event()])
    assert _size(rig.engine) == 0


def test_a_refused_event_keeps_the_whole_batch_out(rig: Rig) -> None:
    with pytest.raises(LocalError):
        rig.append(event(), event("no.kind"))
    assert _size(rig.engine) == 0


def test_a_checkpoint_that_the_database_refuses_is_an_audit_failure(rig: Rig) -> None:
    rig.append(event())
    rig.tamper("DROP TABLE audit_checkpoint")
    with pytest.raises(AuditFailed):
        rig.checkpoint()


def test_what_the_database_refuses_is_an_audit_failure_without_a_patient(rig: Rig) -> None:
    rig.tamper("DROP TABLE audit_event")
    stored = AuditEvent("instance.stored", Outcome.DONE, "ct1", patient_id="P1")
    with pytest.raises(AuditFailed) as failed:
        rig.append(stored)
    assert "P1" not in f"{failed.value!r} {failed.value.__cause__!r}"


def test_who_is_kept_even_if_it_is_no_unicode(rig: Rig) -> None:
    rig.append(event(who="\udcff"))
    with reading(rig.engine).connect() as connection:
        assert tail(connection, 1)[0].event.who == "?"


def test_the_end_is_signed_after_so_many_events(rig: Rig) -> None:
    rig.append(*[event()] * CHECKPOINT_EVENTS)
    assert _checkpoint_lines(rig) == []
    rig.append(event())
    [line] = _checkpoint_lines(rig)
    assert line.split(" ")[1] == str(CHECKPOINT_EVENTS)
    assert rig.verify().checkpoints == 1


def test_the_end_is_signed_after_so_long(rig: Rig) -> None:
    rig.append(event())
    rig.clock.pass_s(CHECKPOINT_S - 1)
    rig.append(event())
    assert _checkpoint_lines(rig) == []
    rig.clock.pass_s(1)
    rig.append(event())
    assert len(_checkpoint_lines(rig)) == 1


def test_only_a_trail_that_grew_is_signed_again(rig: Rig) -> None:
    rig.checkpoint()
    rig.append(event())
    rig.checkpoint()
    rig.checkpoint()
    assert len(_checkpoint_lines(rig)) == 1
    rig.append(event())
    rig.checkpoint()
    assert len(_checkpoint_lines(rig)) == 2
    assert rig.verify().ok


def test_a_checkpoint_whose_transaction_fails_is_still_true(rig: Rig) -> None:
    rig.append(event())

    def fail() -> None:
        with rig.engine.begin() as connection:
            rig.trail.checkpoint(connection)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    result = rig.verify()
    assert (result.ok, result.checkpoints) == (True, 1)


def test_the_checkpoint_file_is_private(rig: Rig) -> None:
    rig.append(event())
    rig.checkpoint()
    assert stat.S_IMODE(rig.checkpoints.stat().st_mode) == 0o600


def test_a_checkpoint_that_cannot_be_written_fails_closed(rig: Rig) -> None:
    rig.append(event())
    rig.checkpoints.mkdir()
    with pytest.raises(AuditFailed):
        rig.checkpoint()
    rig.clock.pass_s(CHECKPOINT_S)
    with pytest.raises(AuditFailed):
        rig.append(event())
    assert _size(rig.engine) == 1


def test_a_line_that_a_crash_cut_does_not_spoil_the_next(rig: Rig) -> None:
    rig.append(event())
    rig.checkpoint()
    with rig.checkpoints.open("a") as file:
        file.write("1 2 17")
    rig.append(event())
    rig.checkpoint()
    result = rig.verify()
    assert result.checkpoints == 2
    assert result.problems == ("line 2 of the checkpoint file cannot be read",)


def test_a_disk_that_takes_half_a_line_keeps_none_of_it(rig: Rig, tmp_path: Path) -> None:
    rig.append(event())
    rig.checkpoint()
    before = rig.checkpoints.read_bytes()
    rig.append(event())
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from leadglass.audit.checkpoints import Checkpoint, append_checkpoint\n"
        "from leadglass.model.errors import AuditFailed\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = Path(sys.argv[1])\n"
        "limit = path.stat().st_size + 10\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "try:\n"
        "    append_checkpoint(path, Checkpoint(2, 0, 'NORTH', bytes(32), bytes(64)))\n"
        "except AuditFailed:\n"
        "    sys.exit(9)\n"
    )
    assert _run(script, rig.checkpoints) == 9
    assert rig.checkpoints.read_bytes() == before


def _run(script: Path, argument: Path) -> int:
    return subprocess.run([sys.executable, str(script), str(argument)], check=False, timeout=60).returncode
