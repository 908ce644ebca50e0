"""``echo`` and ``find``: ask a DICOM peer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

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
from leadglass.cli.output import Exit, JsonOption, leave, print_json, print_rows, say
from leadglass.dataset.identifier import AnswerElement, decode_answer, encode_identifier
from leadglass.model.names import Uid
from leadglass.model.query import Level
from leadglass.protocol.services import PATIENT_ROOT_FIND, STUDY_ROOT_FIND, VERIFICATION
from leadglass.protocol.status import Category, Status, category

DEFAULT_KEYS = {
    Level.PATIENT: ("PatientID", "PatientName", "PatientBirthDate"),
    Level.STUDY: (
        "StudyInstanceUID",
        "PatientID",
        "PatientName",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedInstances",
    ),
    Level.SERIES: ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription"),
    Level.IMAGE: ("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}


class LevelName(StrEnum):
    """``--level``."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class RootName(StrEnum):
    """``--root``."""

    PATIENT = "patient"
    STUDY = "study"


LevelOption = Annotated[LevelName, typer.Option("--level", help="What to look for.", case_sensitive=False)]
RootOption = Annotated[RootName, typer.Option("--root", help="The information model.")]
Keys = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY[=VALUE]...", help="Keys by keyword or tag, such as PatientID=123.", show_default=False
    ),
]


def echo(
    to: To,
    called: Called,
    calling: Calling,
    cert: Cert = None,
    key: Key = None,
    ca: Ca = None,
    bind: Bind = None,
) -> None:
    """Ask a peer whether it is there (C-ECHO)."""
    call = call_from(to, called, calling, cert, key, ca, bind)
    status = run(_echo(call))
    if status != Status.SUCCESS:
        say(f"{called} at {to} answered with status {status:04X}")
        leave(Exit.FINDINGS)
    say(f"{called} at {to} answered")


async def _echo(call: Call) -> int:
    async with await call.open([(VERIFICATION, LITTLE_ENDIAN)]) as peer:
        return await peer.echo(VERIFICATION)


def find(
    to: To,
    called: Called,
    calling: Calling,
    keys: Keys = None,
    cert: Cert = None,
    key: Key = None,
    ca: Ca = None,
    bind: Bind = None,
    level: LevelOption = LevelName.STUDY,
    root: RootOption = RootName.STUDY,
    limit: Annotated[int, typer.Option(help="Cancel after so many answers; 0 for all.", min=0)] = 0,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Ask a peer what it has (C-FIND)."""
    call = call_from(to, called, calling, cert, key, ca, bind)
    wanted = query_keys(Level[level.value], keys or [])
    sop_class = PATIENT_ROOT_FIND if root is RootName.PATIENT else STUDY_ROOT_FIND
    answers, status = run(_find(call, sop_class, Level[level.value], wanted, limit))
    print_answers(answers, as_json=as_json)
    if category(status) is Category.FAILURE:
        say(f"the peer ended the query with status {status:04X}")
        leave(Exit.FINDINGS)
    cancelled = ", then cancelled" if category(status) is Category.CANCEL else ""
    say(f"{len(answers)} found{cancelled}")


def query_keys(level: Level, given: list[str]) -> list[tuple[str, str]]:
    """``KEY=VALUE`` arguments as pairs, with the level's usual keys as well."""
    wanted = dict.fromkeys(DEFAULT_KEYS[level], "")
    for text in given:
        name, _, value = text.partition("=")
        wanted[name] = value
    return list(wanted.items())


async def _find(
    call: Call, sop_class: Uid, level: Level, wanted: list[tuple[str, str]], limit: int
) -> tuple[list[list[AnswerElement]], int]:
    answers: list[list[AnswerElement]] = []
    async with await call.open([(sop_class, LITTLE_ENDIAN)]) as peer:
        syntax = peer.context_for(sop_class).transfer_syntax
        exchange = peer.find(sop_class, lambda transfer: encode_identifier(level, wanted, transfer))
        status: int = Status.SUCCESS
        async for reply in exchange:
            status = reply.command.status
            if category(status) is Category.PENDING and (not limit or len(answers) < limit):
                answers.append(decode_answer(reply.dataset, syntax))
                if len(answers) == limit:
                    exchange.cancel()
    return answers, status


def print_answers(answers: list[list[AnswerElement]], *, as_json: bool) -> None:
    """One line an answer."""
    if as_json:
        print_json(
            [{element.keyword or f"{element.tag:08X}": element.text for element in one} for one in answers]
        )
        return
    names = list(
        dict.fromkeys(element.keyword for one in answers for element in one if element.keyword not in HIDDEN)
    )
    rows = []
    for one in answers:
        texts = {element.keyword: element.text for element in one}
        rows.append([texts.get(name, "") for name in names])
    print_rows(names, rows)


HIDDEN = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle", "InstanceAvailability"})
