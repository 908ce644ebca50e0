"""The scenes of the demo: real associations, and what the site's audit trail says of each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from leadglass.admin.desk import Desk
from leadglass.admin.devices import list_devices
from leadglass.admin.trail import Trail
from leadglass.app import Site, read_site_policy
from leadglass.audit.read import NO_FILTERS, AuditLine, Filters
from leadglass.cli.calling import LITTLE_ENDIAN, Call, run
from leadglass.cli.demo_site import DemoFailed, DemoSite, Machine, forge_certificate
from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.dataset.synthetic import (
    PATIENTS,
    Modality,
    SyntheticInstance,
    SyntheticPatient,
    synthetic_study,
)
from leadglass.model.action import Verb
from leadglass.model.decision import RungState, Step
from leadglass.model.errors import RemoteRefused, TransportFailed
from leadglass.model.event import Outcome
from leadglass.model.names import Uid
from leadglass.model.permit import Permit
from leadglass.model.query import Level
from leadglass.net.sending import store
from leadglass.protocol.commands import CStoreRq
from leadglass.protocol.negotiation import NegotiatedContext
from leadglass.protocol.services import STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION
from leadglass.protocol.status import Category, Status, category
from leadglass.use_cases import trail_of

SEED = 7
SCAN = (PATIENTS[1], Modality.CT, 24)
SONOGRAPHY = (PATIENTS[0], Modality.US, 2)
SCANNERS_SOCKET = "127.0.1.66"
GUEST_NETWORK = "127.0.0.66"
TRAIL_S = 5.0
POLL_S = 0.02
MEGABYTE = 1_000_000
FIND_KEYS = (
    "StudyInstanceUID",
    "PatientName",
    "PatientID",
    "StudyDate",
    "StudyDescription",
    "NumberOfStudyRelatedInstances",
)

Advance = Callable[[], object]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""A progress bar with a name and a total; it gives what moves it on by one."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What happened. ``line`` is the line of the audit trail that decided; ``notes`` are name and text.

    ``told`` is all that a refused caller learned.
    """

    number: str
    title: str
    caller: Machine
    asked: str
    line: AuditLine
    told: str = ""
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def denied(self) -> bool:
        return self.line.event.outcome is Outcome.DENIED


class Play:
    """Plays the scenes one after the other. Each raises DemoFailed if it does not go as told."""

    def __init__(self, demo: DemoSite, site: Site, progress: Progress) -> None:
        self._demo = demo
        self._site = site
        self._trail = _Evidence(trail_of(site), site.permit(Verb.AUDIT))
        self._progress = progress
        self._scan = list(_study(*SCAN))
        self._sonography = list(_study(*SONOGRAPHY))
        self.study = Uid("")  # of the scan, once it was found

    def scenes(self) -> Iterator[Scene]:
        """Every scene, as it is played."""
        yield self._scanner_stores()
        yield self._workstation_finds_and_gets()
        yield self._ultrasound_stores()
        yield self._ultrasound_searches()
        yield self._laptop_without_certificate()
        yield self._laptop_with_its_own_certificate()
        yield self._laptop_in_plaintext()
        yield self._borrowed_ae_title()

    def verify(self) -> str:
        """Prove the trail; says what was proven.

        Raises:
            DemoFailed: it is broken.
        """
        result = self._trail.trail.verify(self._trail.permit, lambda _lines: None)
        if not result.ok:
            raise DemoFailed("the audit trail is not whole: " + "; ".join(result.problems))
        return (
            f"{result.events} lines, each chained to the one before; {result.checkpoints} signed checkpoints"
        )

    def _scanner_stores(self) -> Scene:
        caller = self._demo.scanner
        self._trail.mark()
        begun_s = time.monotonic()
        with self._progress("ct1 stores", len(self._scan)) as advance:
            run(_store(self._demo.call(caller), self._scan, advance))
        took_s = time.monotonic() - begun_s
        lines = self._trail.wait("instance.stored", Outcome.DONE, caller, len(self._scan))
        size = sum(len(instance.dataset) for instance in self._scan) / MEGABYTE
        durable = (
            f"{len(lines)} images in {took_s:.2f} s; each acknowledged only when it would survive a power cut"
        )
        return Scene(
            "1",
            "A scanner stores a study over mutual TLS",
            caller,
            f"C-STORE of {len(self._scan)} CT images, {size:.1f} MB",
            lines[0],
            notes=(("stored", durable),),
        )

    def _workstation_finds_and_gets(self) -> Scene:
        caller = self._demo.workstation
        patient = SCAN[0]
        self._trail.mark()
        call = self._demo.call(caller)
        answers = run(_find(call, [("PatientID", patient.patient_id)]))
        if len(answers) != 1 or answers[0].get("PatientName") != patient.name:
            raise DemoFailed(f"the workstation should have found one study, and found {len(answers)}")
        answer = answers[0]
        self.study = Uid(answer["StudyInstanceUID"])
        with self._progress("ws1 retrieves", len(self._scan)) as advance:
            came = run(_get(call, self.study, self._scan, advance))
        sent = {one.sop_instance: hashlib.sha256(one.dataset).hexdigest() for one in self._scan}
        if came != sent:
            raise DemoFailed("what the workstation retrieved is not what the scanner sent")
        self._trail.wait("operation.get", Outcome.ALLOWED, caller)
        self._trail.wait("retrieval.sent", Outcome.DONE, caller)
        shown = [answer[key] for key in FIND_KEYS[1:-1]]
        found = "  ".join([*shown, f"{answer[FIND_KEYS[-1]]} images"])
        return Scene(
            "2",
            "A workstation finds it and pulls it",
            caller,
            f"C-FIND PatientID={patient.patient_id}, then C-GET of the study",
            self._trail.wait("operation.find", Outcome.ALLOWED, caller)[0],
            notes=(
                ("found", found),
                ("compared", f"{len(came)} of {len(sent)} came back with the SHA-256 they were sent with"),
            ),
        )

    def _ultrasound_stores(self) -> Scene:
        caller = self._demo.ultrasound
        self._trail.mark()
        with self._progress("us1 stores", len(self._sonography)) as advance:
            run(_store(self._demo.call(caller), self._sonography, advance))
        line = self._trail.wait("instance.stored", Outcome.DONE, caller, len(self._sonography))[0]
        site = self._site
        desk = Desk(site.home.policy, site.authority, site.gate)
        policy = read_site_policy(site.home, site.clock)
        rows = list_devices(site.permit(Verb.STATUS), desk, policy)
        if [row.name for row in rows if row.spoofable] != [caller.name]:
            raise DemoFailed("the ultrasound, and nobody else, should be shown as spoofable")
        beware = "spoofable: whoever is on that wire can forge an address and an AE title"
        return Scene(
            "3",
            "An old ultrasound stores in its plaintext zone",
            caller,
            f"C-STORE of {len(self._sonography)} ultrasound images, in plaintext",
            line,
            notes=(("beware", beware),),
        )

    def _ultrasound_searches(self) -> Scene:
        caller = self._demo.ultrasound
        self._trail.mark()
        told = run(_search(self._demo.call(caller)))
        line = self._trail.wait_denied("operation.find", caller, Step.VERB)
        title = "The same ultrasound wants to search"
        return Scene("4", title, caller, "C-FIND of all studies, in plaintext", line, told)

    def _laptop_without_certificate(self) -> Scene:
        caller = Machine("laptop", self._demo.scanner.ae, SCANNERS_SOCKET, "no certificate")
        title = "A rogue laptop in the scanner's socket, without a certificate"
        call = self._demo.call_without_certificate(caller)
        return self._knocks("5a", title, caller, call, "connection.refused", Step.DEVICE)

    def _laptop_with_its_own_certificate(self) -> Scene:
        caller = forge_certificate(self._demo, SCANNERS_SOCKET, self._site.clock.now())
        title = "The laptop signs itself a certificate that says it is ct1"
        call = self._demo.call(caller)
        return self._knocks("5b", title, caller, call, "connection.refused", Step.DEVICE)

    def _laptop_in_plaintext(self) -> Scene:
        caller = Machine("laptop", self._demo.scanner.ae, GUEST_NETWORK, "only the scanner's AE title")
        title = "From the guest network, in plaintext, with the scanner's AE title"
        call = self._demo.call(caller)
        return self._knocks("5c", title, caller, call, "association.refused", Step.ZONE)

    def _borrowed_ae_title(self) -> Scene:
        caller = replace(self._demo.scanner, ae=self._demo.workstation.ae)
        title = "The scanner's certificate with the workstation's AE title"
        call = self._demo.call(caller)
        return self._knocks("6", title, caller, call, "association.refused", Step.DEVICE)

    def _knocks(self, number: str, title: str, caller: Machine, call: Call, kind: str, step: Step) -> Scene:
        """Somebody who must not get an association asks for one."""
        self._trail.mark()
        told = run(_knock(call))
        line = self._trail.wait_denied(kind, caller, step)
        over = "TLS" if call.target.tls else "plaintext"
        return Scene(number, title, caller, f"an association over {over}, for C-ECHO", line, told)


class _Evidence:
    """The trail's lines since a scene began."""

    def __init__(self, trail: Trail, permit: Permit) -> None:
        self.trail = trail
        self.permit = permit
        self._seq = 0

    def mark(self) -> None:
        """A scene begins."""
        self._seq = max((line.seq for line in self.trail.tail(self.permit, 1, NO_FILTERS)), default=0)

    def wait(self, kind: str, outcome: Outcome, caller: Machine, count: int = 1) -> list[AuditLine]:
        """The lines of that kind and outcome about the caller, once there are so many.

        Raises:
            DemoFailed: there are not, after a while.
        """
        deadline_s = time.monotonic() + TRAIL_S
        while True:
            lines = self.trail.after(self.permit, self._seq, Filters(kind=kind, outcome=outcome))
            found = [line for line in lines if line.event.address == caller.address]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline_s:
                wanted = f"{count} lines {kind} {outcome} from {caller.address}"
                raise DemoFailed(f"the audit trail should have {wanted}, and has {len(found)}")
            time.sleep(POLL_S)

    def wait_denied(self, kind: str, caller: Machine, step: Step) -> AuditLine:
        """The refusal of the caller, which must have come just as far as ``step``.

        Raises:
            DemoFailed
        """
        line = self.wait(kind, Outcome.DENIED, caller)[0]
        failed = [rung.step for rung in line.event.ladder if rung.state is RungState.FAILED]
        if failed != [step]:
            raise DemoFailed(f"line {line.seq} of the trail should be refused at {step}, not at {failed}")
        return line


def _study(patient: SyntheticPatient, modality: Modality, count: int) -> Iterator[SyntheticInstance]:
    return synthetic_study(SEED, modality, patient, instances=count)


async def _store(call: Call, instances: Sequence[SyntheticInstance], advance: Advance) -> None:
    first = instances[0]
    async with await call.open([(first.sop_class, (first.transfer_syntax,))]) as peer:
        context = peer.context_for(first.sop_class)
        for instance in instances:
            status = await store(peer.conversation, context, instance.sop_instance, _whole(instance.dataset))
            if status != Status.SUCCESS:
                raise DemoFailed(f"a C-STORE that should succeed ended with status {status:04X}")
            advance()


async def _whole(dataset: bytes) -> AsyncIterator[bytes]:
    yield dataset


async def _find(call: Call, keys: list[tuple[str, str]]) -> list[dict[str, str]]:
    wanted = {**dict.fromkeys(FIND_KEYS, ""), **dict(keys)}
    answers: list[dict[str, str]] = []
    async with await call.open([(STUDY_ROOT_FIND, LITTLE_ENDIAN)]) as peer:
        syntax = peer.context_for(STUDY_ROOT_FIND).transfer_syntax
        exchange = peer.find(
            STUDY_ROOT_FIND, lambda transfer: encode_identifier(Level.STUDY, list(wanted.items()), transfer)
        )
        async for reply in exchange:
            if category(reply.command.status) is Category.PENDING:
                answers.append({item.keyword: item.text for item in decode_answer(reply.dataset, syntax)})
            elif reply.command.status != Status.SUCCESS:
                raise DemoFailed(f"a C-FIND that should succeed ended with status {reply.command.status:04X}")
    return answers


async def _get(
    call: Call, study: Uid, expected: Sequence[SyntheticInstance], advance: Advance
) -> dict[Uid, str]:
    """The SHA-256 of each data set that came, by SOP instance UID."""
    came: dict[Uid, str] = {}
    first = expected[0]
    offers = [(STUDY_ROOT_GET, LITTLE_ENDIAN), (first.sop_class, (first.transfer_syntax,))]

    def receive(request: CStoreRq, _context: NegotiatedContext) -> _Hashed:
        return _Hashed(request.sop_instance, came, advance)

    peer = await call.open(offers, receive=receive, received_classes=[first.sop_class])
    async with peer:
        exchange = peer.get(
            STUDY_ROOT_GET,
            lambda transfer: encode_identifier(Level.STUDY, [("StudyInstanceUID", study)], transfer),
        )
        async for reply in exchange:
            if reply.command.status not in {Status.PENDING, Status.SUCCESS}:
                raise DemoFailed(f"a C-GET that should succeed ended with status {reply.command.status:04X}")
    return came


class _Hashed:
    """One object as it arrives; nothing of it is kept but its SHA-256."""

    def __init__(self, sop_instance: Uid, came: dict[Uid, str], advance: Advance) -> None:
        self._sop_instance = sop_instance
        self._came = came
        self._advance = advance
        self._hash = hashlib.sha256()

    def fragment(self, fragment: bytes | memoryview) -> None:
        self._hash.update(fragment)

    def finish(self) -> int:
        self._came[self._sop_instance] = self._hash.hexdigest()
        self._advance()
        return Status.SUCCESS

    def abandon(self) -> None:
        """What did not come whole did not come."""


async def _search(call: Call) -> str:
    """Ask for a context to search on, which must be refused; what the caller is told."""
    async with await call.open([(STUDY_ROOT_FIND, LITTLE_ENDIAN)]) as peer:
        try:
            peer.context_for(STUDY_ROOT_FIND)
        except RemoteRefused as refused:
            return str(refused)
    raise DemoFailed("a C-FIND that should be refused was accepted")


async def _knock(call: Call) -> str:
    """Ask for an association, which must be refused; what the caller is told."""
    try:
        async with await call.open([(VERIFICATION, LITTLE_ENDIAN)]):
            pass
    except (RemoteRefused, TransportFailed) as refused:
        return str(refused)
    raise DemoFailed(f"an association of {call.calling} that should be refused was accepted")
