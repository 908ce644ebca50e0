"""``send`` and ``get``: objects to a DICOM peer, and from one."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import Progress

from leadglass.cli.calling import (
    LITTLE_ENDIAN,
    Bind,
    Ca,
    Call,
    Called,
    Calling,
    Cert,
    Key,
    To,
    call_from,
    run,
)
from leadglass.cli.client import RootName, RootOption
from leadglass.cli.output import Exit, JsonOption, leave, message_console, print_json, say
from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.dataset.part10 import Part10, file_meta, read_part10
from leadglass.model.errors import LeadglassError, PeerError, RemoteRefused
from leadglass.model.names import Uid, parse_uid
from leadglass.model.query import Level
from leadglass.net.scu import Requestor
from leadglass.net.sending import store
from leadglass.protocol.commands import CGetRsp, CStoreRq
from leadglass.protocol.limits import MAX_PRESENTATION_CONTEXTS
from leadglass.protocol.negotiation import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION,
    NegotiatedContext,
)
from leadglass.protocol.services import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
)
from leadglass.protocol.status import Category, Status, category

PIECE_BYTES = 256 << 10

Files = Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")]
Out = Annotated[Path, typer.Option("--out", help="The folder that objects are written to.")]


@dataclass(frozen=True, slots=True)
class _Outgoing:
    path: Path
    sop_class: Uid
    transfer_syntax: Uid


@dataclass(slots=True)
class _Tally:
    done: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    def report(self, verb: str, *, as_json: bool) -> None:
        """Print what happened and end the command with its exit code."""
        if as_json:
            print_json(
                {verb: self.done, "failed": [{"what": what, "why": why} for what, why in self.failures]}
            )
        for what, why in self.failures:
            say(f"{what}: {why}")
        say(f"{self.done} {verb}, {len(self.failures)} failed")
        if self.failures:
            leave(Exit.PARTLY_DONE if self.done else Exit.ERROR)


def send(
    files: Files,
    to: To,
    called: Called,
    calling: Calling,
    cert: Cert = None,
    key: Key = None,
    ca: Ca = None,
    bind: Bind = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Send DICOM files to a peer (C-STORE)."""
    call = call_from(to, called, calling, cert, key, ca, bind)
    tally = _Tally()
    outgoing = list(_readable(files, tally))
    with Progress(console=message_console(), transient=True) as progress:
        task = progress.add_task("sending", total=len(outgoing))
        run(_send_all(call, outgoing, tally, lambda: progress.advance(task)))
    tally.report("sent", as_json=as_json)


def _readable(files: Iterable[Path], tally: _Tally) -> Iterator[_Outgoing]:
    for path in _walk(files):
        try:
            meta = read_part10(path.read_bytes()).meta
        except OSError as error:
            tally.failures.append((str(path), error.strerror or "cannot be read"))
        except LeadglassError as error:
            tally.failures.append((str(path), str(error)))
        else:
            yield _Outgoing(path, meta.sop_class, meta.transfer_syntax)


def _walk(files: Iterable[Path]) -> Iterator[Path]:
    for path in files:
        if path.is_dir():
            yield from sorted(entry for entry in path.rglob("*") if entry.is_file())
        else:
            yield path


async def _send_all(call: Call, outgoing: list[_Outgoing], tally: _Tally, advance: object) -> None:
    """As many associations as the kinds of objects need, 128 kinds each."""
    kinds = sorted({(item.sop_class, item.transfer_syntax) for item in outgoing})
    for start in range(0, len(kinds), MAX_PRESENTATION_CONTEXTS):
        some = kinds[start : start + MAX_PRESENTATION_CONTEXTS]
        chosen = set(some)
        items = [item for item in outgoing if (item.sop_class, item.transfer_syntax) in chosen]
        async with await call.open([(sop_class, (syntax,)) for sop_class, syntax in some]) as peer:
            for item in items:
                await _send_one(peer, item, tally)
                if callable(advance):
                    advance()


async def _send_one(peer: Requestor, item: _Outgoing, tally: _Tally) -> None:
    contexts = peer.conversation.storage_contexts(item.sop_class)
    context = contexts.get(item.transfer_syntax)
    if context is None:
        why = f"the peer did not accept {item.sop_class} in {item.transfer_syntax}"
        tally.failures.append((str(item.path), why))
        return
    part10 = read_part10(item.path.read_bytes())
    status = await store(peer.conversation, context, part10.meta.sop_instance, _pieces(part10))
    if category(status) in {Category.SUCCESS, Category.WARNING}:
        tally.done += 1
    else:
        tally.failures.append((str(item.path), f"status {status:04X}"))


async def _pieces(part10: Part10) -> AsyncIterator[bytes | memoryview]:
    for start in range(0, len(part10.dataset), PIECE_BYTES):
        yield part10.dataset[start : start + PIECE_BYTES]


def get(
    to: To,
    called: Called,
    calling: Calling,
    study: Annotated[str, typer.Option("--study", help="The study's UID.")],
    out: Out,
    series: Annotated[str | None, typer.Option("--series", help="Only this series.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", help="Only this instance of it.")] = None,
    patient: Annotated[str | None, typer.Option("--patient", help="Patient ID, for --root patient.")] = None,
    cert: Cert = None,
    key: Key = None,
    ca: Ca = None,
    bind: Bind = None,
    root: RootOption = RootName.STUDY,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Fetch a study, series or instance from a peer (C-GET) into a folder, as stored there."""
    call = call_from(to, called, calling, cert, key, ca, bind)
    if (root is RootName.PATIENT) != (patient is not None):
        say("error: --patient goes with --root patient")
        leave(Exit.USAGE)
    if instance is not None and series is None:
        say("error: --instance needs its --series")
        leave(Exit.USAGE)
    keys = [("PatientID", patient)] if patient is not None else []
    keys.append(("StudyInstanceUID", study))
    wanted = _Wanted(root, Level.STUDY, keys)
    if series is not None:
        wanted = _Wanted(root, Level.SERIES, [*keys, ("SeriesInstanceUID", series)])
    if series is not None and instance is not None:
        wanted = _Wanted(root, Level.IMAGE, [*wanted.keys, ("SOPInstanceUID", instance)])
    out.mkdir(parents=True, exist_ok=True)
    tally = _Tally()
    run(_get(call, wanted, out, tally))
    tally.report("received", as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Wanted:
    root: RootName
    level: Level
    keys: list[tuple[str, str]]

    @property
    def find_class(self) -> Uid:
        return PATIENT_ROOT_FIND if self.root is RootName.PATIENT else STUDY_ROOT_FIND

    @property
    def get_class(self) -> Uid:
        return PATIENT_ROOT_GET if self.root is RootName.PATIENT else STUDY_ROOT_GET


async def _get(call: Call, wanted: _Wanted, out: Path, tally: _Tally) -> None:
    kinds = await _kinds(call, wanted)
    if not kinds:
        raise RemoteRefused("the peer knows nothing of that, or does not say")
    classes = sorted({sop_class for sop_class, _ in kinds})
    offers: list[tuple[Uid, tuple[Uid, ...]]] = [(sop_class, (syntax,)) for sop_class, syntax in kinds]
    offers += [
        (uid, LITTLE_ENDIAN) for uid in classes if not any((uid, plain) in kinds for plain in LITTLE_ENDIAN)
    ]

    def receive(request: CStoreRq, context: NegotiatedContext) -> _Received:
        return _Received(out, request, context, tally)

    peer = await call.open(
        [(wanted.get_class, LITTLE_ENDIAN), *offers], receive=receive, received_classes=classes
    )
    async with peer:
        with Progress(console=message_console(), transient=True) as progress:
            task = progress.add_task("receiving", total=None)
            async for reply in peer.get(
                wanted.get_class, lambda transfer: encode_identifier(wanted.level, wanted.keys, transfer)
            ):
                response = reply.command
                if isinstance(response, CGetRsp) and response.remaining is not None:
                    progress.update(task, completed=tally.done, total=tally.done + response.remaining)
                if category(response.status) is not Category.PENDING:
                    _note_end(response, tally)


def _note_end(response: object, tally: _Tally) -> None:
    if isinstance(response, CGetRsp) and response.status != Status.SUCCESS:
        failed = response.failed or 0
        comment = f": {response.error_comment}" if response.error_comment else ""
        what = f"{failed} objects" if failed else "the retrieval"
        tally.failures.append((what, f"not sent by the peer, status {response.status:04X}{comment}"))


async def _kinds(call: Call, wanted: _Wanted) -> list[tuple[Uid, Uid]]:
    """Which SOP classes in which transfer syntaxes the objects are, asked by C-FIND.

    A presentation context has one transfer syntax, so that what is stored compressed can only come
    as it is when that is proposed.
    """
    found: Counter[tuple[Uid, Uid]] = Counter()
    async with await call.open([(wanted.find_class, LITTLE_ENDIAN)]) as peer:
        series = [value for name, value in wanted.keys if name == "SeriesInstanceUID"]
        upper = [(name, value) for name, value in wanted.keys if name in {"PatientID", "StudyInstanceUID"}]
        if not series:
            rows = await _ask(peer, wanted.find_class, Level.SERIES, [*upper, ("SeriesInstanceUID", "")])
            series = [row["SeriesInstanceUID"] for row in rows]
        for uid in series:
            keys = [*upper, ("SeriesInstanceUID", uid), ("SOPInstanceUID", ""), ("SOPClassUID", "")]
            keys.append(("AvailableTransferSyntaxUID", ""))
            for row in await _ask(peer, wanted.find_class, Level.IMAGE, keys):
                with contextlib.suppress(PeerError, KeyError):
                    syntax = row.get("AvailableTransferSyntaxUID", "").split("\\")[0] or LITTLE_ENDIAN[0]
                    found[parse_uid(row["SOPClassUID"]), parse_uid(syntax)] += 1
    return sorted(found)


async def _ask(
    peer: Requestor, sop_class: Uid, level: Level, keys: list[tuple[str, str]]
) -> list[dict[str, str]]:
    syntax = peer.context_for(sop_class).transfer_syntax
    rows = []
    async for reply in peer.find(sop_class, lambda transfer: encode_identifier(level, keys, transfer)):
        status = reply.command.status
        if category(status) is Category.PENDING:
            rows.append({item.keyword: item.text for item in decode_answer(reply.dataset, syntax)})
        elif category(status) is Category.FAILURE:
            raise RemoteRefused(f"the peer ended a query with status {status:04X}")
    return rows


class _Received:
    """One object on its way into the folder, under its own UID; in place only when whole."""

    def __init__(self, out: Path, request: CStoreRq, context: NegotiatedContext, tally: _Tally) -> None:
        uid = parse_uid(request.sop_instance)  # digits and dots: a safe file name
        self._path = out / f"{uid}.dcm"
        self._part = out / f".{uid}.part"
        self._tally = tally
        self._file: BinaryIO | None = None
        try:
            self._file = self._part.open("wb")
            self._file.write(
                file_meta(
                    request.sop_class,
                    uid,
                    context.transfer_syntax,
                    implementation_class=IMPLEMENTATION_CLASS_UID,
                    implementation_version=IMPLEMENTATION_VERSION,
                )
            )
        except OSError as error:
            self._refuse(error)

    def fragment(self, fragment: bytes | memoryview) -> None:
        if self._file is not None:
            try:
                self._file.write(fragment)
            except OSError as error:
                self._refuse(error)

    def finish(self) -> int:
        if self._file is None:
            return Status.OUT_OF_RESOURCES
        try:
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            self._refuse(error)
            return Status.OUT_OF_RESOURCES
        self._tally.done += 1
        return Status.SUCCESS

    def abandon(self) -> None:
        self._tally.failures.append((str(self._path), "cut off"))
        self._drop()

    def _refuse(self, error: OSError) -> None:
        self._tally.failures.append((str(self._path), error.strerror or "cannot be written"))
        self._drop()

    def _drop(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None
        with contextlib.suppress(OSError):  # what is in its place is not ours, or it never was there
            self._part.unlink()
