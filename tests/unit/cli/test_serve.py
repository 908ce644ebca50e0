"""The server's life: its lock, what it watches, and how it ends."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leadglass.app import Home, open_site, standing_policy
from leadglass.audit.read import Filters, after
from leadglass.cli import serve as serving_commands
from leadglass.cli.output import Exit
from leadglass.cli.running import is_served, read_running, serving_lock
from leadglass.cli.serve import _deliver_to, _Serving, _stamp
from leadglass.identity.clock import SystemClock
from leadglass.index.engine import reading
from leadglass.model.errors import AlreadyServing, ConfigurationInvalid, LocalError, StorageFailed
from leadglass.model.event import AuditEvent, Outcome
from leadglass.storage.keys import FileKeyProvider
from tests.support.archive_rig import ct_images
from tests.support.command_line import Leadglass
from tests.support.net_rig import run, until
from tests.support.site import LiveSite, make_site
from tests.support.stored import store_in_process


@pytest.fixture
def home(live: LiveSite) -> Home:
    (live.home / "run").mkdir(exist_ok=True)
    return Home(live.home)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_commands, "WATCH_S", 0.01)
    monkeypatch.setattr(serving_commands, "HOUSEKEEPING_S", 0.01)


@asynccontextmanager
async def serving(home: Home) -> AsyncIterator[tuple[_Serving, asyncio.Task[None]]]:
    """A server in this process, ready; it is told to stop at the end unless it has ended."""
    policy, _ = standing_policy(home, SystemClock())
    with serving_lock(home), open_site(home, policy, _deliver_to(asyncio.get_running_loop())) as site:
        server = _Serving(site, 1.0, _stamp(home.policy))
        task = asyncio.ensure_future(server.run())
        try:
            await until(lambda: task.done() or read_running(home) is not None)
            yield server, task
        finally:
            server._stop.set()
            if not task.done():
                await task


def kinds(live: LiveSite) -> list[str]:
    return [line.event.kind for line in live.audit()]


def test_it_starts_says_that_it_is_ready_and_ends_in_order(
    live: LiveSite, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with serving(home) as (server, task):
            running = read_running(home)
            assert running is not None
            assert running.listeners.keys() == {"dicom-tls", "legacy"}
            assert capsys.readouterr().err.startswith("ready dicom-tls=127.0.0.1:")
            os.kill(os.getpid(), signal.SIGTERM)
            await task
            assert server._broken is None
        assert read_running(home) is None

    run(scenario())
    assert [kind for kind in kinds(live) if kind.startswith("server.")] == [
        "server.started",
        "server.stopped",
    ]


def test_a_changed_policy_is_in_force_by_itself_and_a_wrong_one_is_not(live: LiveSite, home: Home) -> None:
    async def scenario() -> None:
        async with serving(home) as (server, _task):
            gate = server.site.gate
            await asyncio.to_thread(live.add_device, "ct1", "modalities", "CT1")
            await until(lambda: "ct1" in gate.policy.devices)
            good = home.policy.read_text(encoding="utf-8")
            home.policy.write_text("version = 1\n[zones]\nx = 7\n", encoding="utf-8")
            await until_recorded(server, "policy.rejected")
            assert "ct1" in gate.policy.devices
            home.policy.unlink()
            await asyncio.sleep(0.05)
            assert "ct1" in gate.policy.devices
            home.policy.write_text(good.replace("ct1", "ct2"), encoding="utf-8")
            await until(lambda: "ct2" in gate.policy.devices)

    run(scenario())


def test_a_policy_that_breaks_its_reader_is_not_in_force_and_ends_nothing(
    live: LiveSite, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise OverflowError("date value out of range")

    async def scenario() -> None:
        async with serving(home) as (server, task):
            before = server.site.gate.policy
            monkeypatch.setattr(serving_commands, "changed_policy", breaks)
            live.edit_policy("version = 1", "version = 1 ")
            await until_recorded(server, "policy.rejected")
            assert server.site.gate.policy is before
            assert not task.done()

    run(scenario())


async def until_recorded(server: _Serving, kind: str) -> None:
    def recorded() -> bool:
        server.site.committer.flush()
        with reading(server.site.engine).connect() as connection:
            return any(True for _ in after(connection, 0, Filters(kind=kind)))

    async with asyncio.timeout(20):
        while not await asyncio.to_thread(recorded):
            pass


def test_a_change_whose_tests_fail_is_refused_though_a_start_would_take_it(
    live: LiveSite, home: Home
) -> None:
    async def scenario() -> None:
        async with serving(home) as (server, _task):
            text = home.policy.read_text(encoding="utf-8")
            live.edit_policy("allow = [", 'allow = ["internet echo archive"')
            await until_recorded(server, "policy.rejected")
            home.policy.write_text(text, encoding="utf-8")

    run(scenario())


def test_sighup_reads_the_policy_again(live: LiveSite, home: Home) -> None:
    async def scenario() -> None:
        async with serving(home) as (server, _task):
            os.kill(os.getpid(), signal.SIGHUP)
            await until_recorded(server, "policy.reloaded")

    run(scenario())


def test_a_revocation_is_seen_though_the_policy_is_wrong(live: LiveSite, home: Home) -> None:
    live.add_device("ct1", "modalities", "CT1")

    async def scenario() -> None:
        async with serving(home) as (server, _task):
            rechecked: list[bool] = []
            monitor(server, rechecked)
            home.policy.write_text("nonsense", encoding="utf-8")
            serials = server.site.authority.revoke_device("ct1")
            await until(lambda: bool(rechecked))
            assert all(server.site.revocations.is_revoked(serial) for serial in serials)

    run(scenario())


def monitor(server: _Serving, rechecked: list[bool]) -> None:
    """Note when live associations are judged anew."""
    assert server._server is not None
    real = server._server

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def recheck(self, refresh: object) -> None:
            rechecked.append(True)

    server._server = Watched()  # type: ignore[assignment]


def test_a_revocation_list_that_cannot_be_read_is_said_once_and_the_old_one_holds(
    live: LiveSite, home: Home
) -> None:
    async def scenario() -> None:
        async with serving(home) as (server, _task):
            path = server.site.authority.crl_path
            good = path.read_bytes()
            path.write_bytes(b"nonsense")
            await until_recorded(server, "policy.rejected")
            await asyncio.sleep(0.05)
            path.write_bytes(good)
            await until(lambda: not server._revocations_trouble)

    run(scenario())
    assert kinds(live).count("policy.rejected") == 1


def test_a_disk_that_failed_ends_the_server_with_an_error(
    live: LiveSite, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with serving(home) as (server, task):
            server.site.store._health.fail("the disk does not sync")
            with pytest.raises(StorageFailed):
                await task
            assert server.site.broken

    run(scenario())


def test_a_committer_that_broke_ends_the_server_with_an_error(
    live: LiveSite, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: broken.append(args.exc_type.__name__))

    async def scenario() -> None:
        async with serving(home) as (server, task):
            server.site.committer._waiting.put(7)  # type: ignore[arg-type]  # a bug
            with pytest.raises(StorageFailed):
                await task

    run(scenario())
    assert broken == ["AssertionError"]


def test_a_watch_that_broke_ends_the_server_with_an_error(
    live: LiveSite, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with serving(home) as (_server, task):

            def bug(_path: Path) -> None:
                raise ZeroDivisionError

            monkeypatch.setattr(serving_commands, "_stamp", bug)
            with pytest.raises(LocalError, match="cannot go on: ZeroDivisionError"):
                await task
            monkeypatch.undo()

    run(scenario())


def test_trouble_is_told_in_the_status_and_goes_away(live: LiveSite, home: Home) -> None:
    def troubled() -> bool:
        running = read_running(home)
        return running is not None and bool(running.trouble)

    async def scenario() -> None:
        async with serving(home) as (server, _task):
            with server.site.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
            server.site.gate.record(AuditEvent("server.started", Outcome.DONE, "NORTH"))
            await until(troubled)
            with server.site.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_event")
            await until(lambda: not troubled())

    run(scenario())


def test_a_crash_before_is_put_right_at_the_start(live: LiveSite, home: Home) -> None:
    (live.home / "segments").mkdir(exist_ok=True)
    (live.home / "segments" / "01ZZZZZZZZZZZZZZZZZZZZZZZZ.part").write_bytes(b"half")

    async def scenario() -> None:
        async with serving(home):
            assert list((live.home / "segments").glob("*.part")) == []

    run(scenario())
    assert "server.recovered" in kinds(live)


def test_a_listener_that_is_taken_is_an_error(live: LiveSite, home: Home) -> None:
    async def scenario() -> None:
        taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", live.plain_port)
        policy, _ = standing_policy(home, SystemClock())
        with (
            open_site(home, policy, _deliver_to(asyncio.get_running_loop())) as site,
            pytest.raises(ConfigurationInvalid, match="cannot listen"),
        ):
            await _Serving(site, 1.0, None).run()
        taken.close()

    run(scenario())


def test_a_start_that_breaks_after_it_listens_closes_every_door(
    live: LiveSite, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(_home: Home, _running: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(serving_commands, "write_running", bug)

    async def scenario() -> None:
        policy, _ = standing_policy(home, SystemClock())
        with open_site(home, policy, _deliver_to(asyncio.get_running_loop())) as site:
            with pytest.raises(ZeroDivisionError):
                await _Serving(site, 1.0, None).run()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", live.plain_port)

    run(scenario())


def test_one_server_a_site(home: Home) -> None:
    with serving_lock(home), pytest.raises(AlreadyServing, match="status"), serving_lock(home):
        pass
    assert not is_served(home)
    with serving_lock(home):
        assert is_served(home)


def test_the_command_serves_until_it_is_told(
    leadglass: Leadglass, live: LiveSite, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.edit_policy("allow = [", 'allow = ["internet echo archive"')  # as if a date had passed
    monkeypatch.setattr(serving_commands, "configure_logs", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}

    class Stopped(_Serving):
        async def run(self) -> None:
            asyncio.get_running_loop().call_later(0.2, self._stop.set)
            await super().run()

    monkeypatch.setattr(serving_commands, "_Serving", Stopped)
    ended = leadglass("--home", live.home, "serve", "--drain-s", "0")
    assert ended.code == Exit.OK
    assert ended.err.count("ready ") == 1
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_served_site_is_not_served_twice(leadglass: Leadglass, live: LiveSite, home: Home) -> None:
    with (home.run / "serve.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = leadglass("--home", live.home, "serve")
    assert ended.code == Exit.ERROR
    assert "another process serves" in ended.err


def test_results_for_a_loop_that_has_ended_are_dropped() -> None:
    loop = asyncio.new_event_loop()
    deliver = _deliver_to(loop)
    loop.close()
    deliver([(lambda _result: None, StorageFailed("x"))])


def test_one_broken_waiter_keeps_nobody_else_waiting() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        failures: list[object] = []
        loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
        told: list[str] = []

        def bug(_result: object) -> None:
            raise ZeroDivisionError

        _deliver_to(loop)(
            [(bug, StorageFailed("x")), (lambda _result: told.append("told"), StorageFailed("x"))]
        )
        await until(lambda: bool(told))
        assert [type(one) for one in failures] == [ZeroDivisionError]

    run(scenario())


def test_in_a_process_of_its_own_it_logs_json_and_ends_with_0(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with site.served() as server:
        server.send_signal(signal.SIGHUP)
        server.wait_for("policy reloaded")
        assert server.stop() == 0
        plain, *logs = [line for line in server.text().splitlines() if line]
        lines = [json.loads(line) for line in logs]
        assert plain.startswith("ready ")
        assert {line["event"] for line in lines} >= {"policy reloaded", "draining"}


def test_a_file_that_is_gone_has_no_stamp(tmp_path: Path) -> None:
    assert _stamp(tmp_path / "nothing") is None


def test_a_key_that_was_made_current_is_taken_up_and_published(live: LiveSite, home: Home) -> None:
    async def scenario() -> None:
        async with serving(home) as (server, _task):
            made = await asyncio.to_thread(FileKeyProvider(home.keys).renew, os.urandom)
            key_id = made.key_id.hex()
            await until(lambda: server.site.keys.current() == made)
            await until(lambda: (said := read_running(home)) is not None and said.key_id == key_id)
            pointer = home.keys / "site-current"
            good = pointer.read_text(encoding="ascii")
            pointer.write_text("nonsense", encoding="ascii")
            await until(lambda: bool(server._key_trouble))
            assert server.site.keys.current() == made
            pointer.write_text(good, encoding="ascii")
            await until(lambda: not server._key_trouble)

    run(scenario())
    assert "keys.adopted" in kinds(live)


def test_the_server_reads_what_is_stored_and_status_tells_of_damage(
    live: LiveSite, home: Home, leadglass: Leadglass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_commands, "SCRUB_S", 0.01)
    store_in_process(live, ct_images(2))
    [segment] = (live.home / "segments").glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[200] ^= 1
    segment.write_bytes(content)

    async def scenario() -> None:
        async with serving(home) as (server, _task):
            await until_recorded(server, "instance.damaged")

    run(scenario())
    status = leadglass("--home", home.directory, "status")
    assert status.code == Exit.FINDINGS
    assert "damaged: instance " in status.err
    told = leadglass("--home", home.directory, "status", "--json").json
    assert len(told["damaged"]) == 1
    assert told["scrub"]["damaged"] == 1
