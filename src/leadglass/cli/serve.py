"""``serve``: the server's life, from its lock to an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvloop

from leadglass.app import Site, build_server, changed_policy, open_site, read_site_settings, standing_policy
from leadglass.archive.compaction import READERS_GRACE, Result, compact_all
from leadglass.archive.jobs import Done, StoreResult
from leadglass.archive.recover import recover
from leadglass.cli.allocator import keep_memory
from leadglass.cli.descriptors import allow_many_connections
from leadglass.cli.files import home_of
from leadglass.cli.logs import configure_logs, log_broken_callback
from leadglass.cli.output import say
from leadglass.cli.review_watch import watch_reviews
from leadglass.cli.running import Running, remove_running, serving_lock, write_running
from leadglass.identity.clock import SystemClock
from leadglass.model.action import Verb
from leadglass.model.caller import CertificateFacts
from leadglass.model.errors import (
    AuditFailed,
    ConfigurationInvalid,
    LeadglassError,
    LocalError,
    StorageFailed,
)
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.permit import Permit
from leadglass.net.server import DicomServer
from leadglass.policy import FailedTest
from leadglass.use_cases import compactor_of, deleter_of, recovery_rooms, retention_of, scrubber_of

WATCH_S = 0.25
HOUSEKEEPING_S = 1.0
ERASE_S = 60.0
SCRUB_S = 1.0
RETAIN_S = 86_400.0
COMPACT_S = 600.0
COMPACT_BYTES_PER_S = 32 << 20
DRAIN_S = 20.0

log = structlog.get_logger()


def serve(
    context: typer.Context,
    drain_s: Annotated[
        float,
        typer.Option("--drain-s", help="Seconds that requests under way get to finish at the end.", min=0),
    ] = DRAIN_S,
) -> None:
    """Serve the site until SIGTERM or Ctrl-C."""
    home = home_of(context)
    read_site_settings(home)  # where there is no site, nothing is made
    configure_logs()
    keep_memory()
    allow_many_connections()
    with serving_lock(home):
        policy_stamp = _stamp(home.policy)
        policy, failed_tests = standing_policy(home, SystemClock())
        _warn_of(failed_tests)
        loop = uvloop.new_event_loop()
        loop.set_exception_handler(log_broken_callback)
        with (
            open_site(home, policy, _deliver_to(loop)) as site,
            asyncio.Runner(loop_factory=lambda: loop) as runner,
        ):
            runner.run(_Serving(site, drain_s, policy_stamp).run())


def _deliver_to(loop: asyncio.AbstractEventLoop) -> Callable[[Sequence[tuple[Done, StoreResult]]], None]:
    """Hand a batch's results to the loop with one wake-up."""

    def tell(results: Sequence[tuple[Done, StoreResult]]) -> None:
        for done, result in results:
            loop.call_soon(done, result)  # each by itself: one that breaks keeps nobody else waiting

    def deliver(results: Sequence[tuple[Done, StoreResult]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(tell, results)

    return deliver


@dataclass(slots=True)
class _Serving:
    """The tasks of a running server."""

    site: Site
    drain_s: float
    policy_stamp: _Stamp | None
    _server: DicomServer | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _reload: asyncio.Event = field(default_factory=asyncio.Event)
    _broken: LeadglassError | None = None
    _revocations_trouble: str = ""
    _key_id: str = ""
    _key_trouble: str = ""
    _ending: bool = False

    async def run(self) -> None:
        """Serve until told to stop.

        Raises:
            ConfigurationInvalid: a listener cannot be opened.
            StorageFailed: the disk failed in a way that only a new start mends.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        self._key_id = self.site.keys.current().key_id.hex()
        permit = self.site.permit(Verb.OPERATE)
        compactor_of(self.site).settle(permit, timedelta())  # nobody reads yet
        recovered = recover(recovery_rooms(self.site), permit)
        if recovered.anything:
            self._record("server.recovered", Outcome.DONE, recovered.text)
            log.info("recovered", what=recovered.text)
        server, close = build_server(self.site)
        self._server = server
        try:
            await server.listen(tuple(self.site.settings.listeners.values()))
            self._record("server.started", Outcome.DONE, "")
            await asyncio.to_thread(self.site.committer.flush)
            gc.freeze()
            listeners = server.listening
            self._write_running()
            say("ready " + " ".join(f"{name}={address}" for name, address in listeners.items()))
            watching = loop.create_task(self._watch())
            keeping = loop.create_task(self._keep_house())
            erasing = loop.create_task(self._erase(permit))
            erasing.add_done_callback(self._worker_ended)
            scrubbing = loop.create_task(self._scrub(permit))
            scrubbing.add_done_callback(self._worker_ended)
            reviewing = loop.create_task(watch_reviews(self.site, permit))
            reviewing.add_done_callback(self._worker_ended)
            watching.add_done_callback(self._worker_ended)
            keeping.add_done_callback(self._worker_ended)
            await self._stop.wait()
            watching.cancel()
            keeping.cancel()
            reviewing.cancel()
            self._ending = True
            erasing.cancel()
            scrubbing.cancel()
            log.info("draining", associations=sum(server.live.values()))
            await server.drain(self.drain_s)
            self._record("server.stopped", Outcome.DONE, str(self._broken or ""))
        finally:
            await server.drain(0)  # however it ended: uvloop does not close over an open listener
            close()
            remove_running(self.site.home)
        if self._broken is not None:
            raise self._broken

    async def _watch(self) -> None:
        """Put a changed policy or revocation in force, within a second."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._reload.wait()
            stamp = _stamp(self.site.home.policy)
            told = stamp != self.policy_stamp or self._reload.is_set()
            self._reload.clear()
            self.policy_stamp = stamp
            if self._reload_revocations():
                self._recheck()
            if told and await self._reload_policy():
                self._recheck()
            await self._take_up_key()

    async def _scrub(self, permit: Permit) -> None:
        """Every second: read some more of what is stored, to find damage while there is a copy elsewhere."""
        if not self.site.settings.integrity.scrub_days:
            return
        scrubber = scrubber_of(self.site)
        try:
            while True:
                await asyncio.sleep(SCRUB_S)
                try:
                    await asyncio.to_thread(scrubber.step, permit)
                except LocalError as error:
                    log.error("the scrubber could not go on, and tries again", reason=str(error))
        finally:
            with contextlib.suppress(LocalError):  # at worst it reads a little twice
                scrubber.keep(permit)

    async def _erase(self, permit: Permit) -> None:
        """Every minute: erase what is past its time, give its room back; every day: the retention rules."""
        deleter = deleter_of(self.site)

        compactor = compactor_of(self.site)

        def copied(length: int) -> bool:
            time.sleep(length / COMPACT_BYTES_PER_S)  # the scanners come first
            return not self._ending

        def compact() -> None:
            for candidate, result in compact_all(compactor, permit, READERS_GRACE, copied):
                if result is not Result.DONE:
                    log.warning("not compacted", segment=candidate.segment, why=result.value)

        retention = retention_of(self.site)
        retain_at_s = 0.0

        def retain() -> None:
            nonlocal retain_at_s
            if not self.site.settings.retention.rules or time.monotonic() < retain_at_s:
                return
            retain_at_s = time.monotonic() + RETAIN_S
            may_delete = self.site.permit(Verb.DELETE)
            retention.apply(may_delete, retention.due(may_delete), lambda _done: not self._ending)

        due_s = 0.0  # looking for what to compact reads every place in the index

        def erase() -> int:
            nonlocal due_s
            retain()
            deleter.condemn(permit)
            erased = deleter.erase(permit, lambda _done: not self._ending)
            if (erased or time.monotonic() >= due_s) and not self._ending:
                due_s = time.monotonic() + COMPACT_S
                compact()
            return erased

        while True:
            try:
                erased = await asyncio.to_thread(erase)
            except LeadglassError as error:
                log.error(
                    "what was deleted could not all be erased and its room given back: tried again",
                    reason=str(error),
                )
            else:
                if erased:
                    log.info("erased", objects=erased)
            await asyncio.sleep(ERASE_S)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        """Without whoever watches policy and disk the server must not go on."""
        error = None if worker.cancelled() else worker.exception()
        if error is not None:
            self._broken = LocalError(f"the server cannot go on: {type(error).__name__}")
            self._stop.set()

    async def _reload_policy(self) -> bool:
        """Whether another policy is in force. A wrong one is not: never none, nor a half-read one.

        Read, tested and proved on a thread of its own: of a large policy that takes seconds.
        """
        site = self.site
        try:
            policy, failed = await asyncio.to_thread(changed_policy, site.home, site.clock, site.gate.policy)
        except ConfigurationInvalid as error:
            log.error("the changed policy is wrong, the old one stays in force", reason=str(error))
            self._record("policy.rejected", Outcome.FAILED, "the changed file is wrong; see 'zones check'")
            return False
        except Exception as error:  # noqa: BLE001  a bug of ours must not end the archive when a file is saved
            log.error("the changed policy could not be judged, the old one stays", error=type(error).__name__)
            self._record("policy.rejected", Outcome.FAILED, "the changed file could not be judged: a bug")
            return False
        _warn_of(failed)
        self.site.gate.replace_policy(policy)
        self._record("policy.reloaded", Outcome.DONE, "")
        log.info(
            "policy reloaded", zones=len(policy.zones), devices=len(policy.devices), flows=len(policy.flows)
        )
        return True

    def _reload_revocations(self) -> bool:
        """Whether the list changed. While it cannot be read the last good one holds; that is said once."""
        try:
            changed = self.site.revocations.reload_if_changed()
        except ConfigurationInvalid as error:
            if str(error) != self._revocations_trouble:
                self._revocations_trouble = str(error)
                log.error("the revocation list is wrong, the old one stays in force", reason=str(error))
                self._record("policy.rejected", Outcome.FAILED, "the revocation list cannot be read")
            return False
        self._revocations_trouble = ""
        return changed

    async def _take_up_key(self) -> None:
        """Seal with the site key that ``keys rotate`` has made current.

        Told only when nothing is on its way that was sealed with the one before: that may be destroyed then.
        """
        try:
            self.site.keys.refresh()
        except ConfigurationInvalid as error:
            if str(error) != self._key_trouble:
                self._key_trouble = str(error)
                log.error("the site key cannot be read anew, the one in use stays so", reason=str(error))
            return
        self._key_trouble = ""
        key_id = self.site.keys.current().key_id.hex()
        if key_id == self._key_id:
            return
        try:
            await asyncio.to_thread(self.site.committer.flush)
        except AuditFailed:
            return  # nothing can be written now; asked again in a moment
        self._key_id = key_id
        self._record("keys.adopted", Outcome.DONE, f"current is {key_id}")
        log.info("site key renewed", key_id=key_id)
        self._write_running()

    def _recheck(self) -> None:
        if self._server is not None:
            self._server.recheck(self._refresh)

    def _refresh(self, facts: CertificateFacts) -> CertificateFacts:
        revoked = facts.issued_here and self.site.revocations.is_revoked(facts.serial)
        return replace(facts, trouble="revoked") if revoked else facts

    async def _keep_house(self) -> None:
        """Every second: sums of folded refusals, the running file, and whether the disk still is."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            with contextlib.suppress(AuditFailed):
                self.site.gate.flush()
            self._write_running()
            if self.site.broken:
                self._broken = StorageFailed("nothing can be stored any more; start again to recover")
                self._stop.set()

    def _write_running(self) -> None:
        server = self._server
        if server is None:
            return
        failure = self.site.committer.failure
        running = Running(
            pid=os.getpid(),
            time=self.site.clock.now(),
            listeners=server.listening,
            associations=server.live,
            waiting=server.waiting,
            trouble=str(failure) if failure else "",
            key_id=self._key_id,
        )
        with contextlib.suppress(OSError):  # a full disk must not end the server
            write_running(self.site.home, running)

    def _record(self, kind: str, outcome: Outcome, reason: str) -> None:
        event = AuditEvent(kind=kind, outcome=outcome, who=self.site.settings.ae[0], reason=reason)
        try:
            self.site.gate.record(event)
        except AuditFailed:
            log.error("not recorded", kind=kind, reason=reason)


def _warn_of(failed_tests: Sequence[FailedTest]) -> None:
    for test in failed_tests:
        log.warning("the policy gives less than its tests say", test=str(test))


_Stamp = tuple[int, int, int]


def _stamp(path: Path) -> _Stamp | None:
    """What changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
