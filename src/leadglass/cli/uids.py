"""What commands share that are about one study, series or instance."""

from __future__ import annotations

from typing import Annotated

import typer

from leadglass.model.errors import PeerError, RequestInvalid
from leadglass.model.names import Uid, parse_uid

UidArgument = Annotated[str, typer.Argument(metavar="UID", help="Its UID.")]
StudyOption = Annotated[str | None, typer.Option("--study", metavar="UID", help="A whole study.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with it and in the audit trail.")]


def uid_of(text: str) -> Uid:
    """A UID as it was typed.

    Raises:
        RequestInvalid: it is none.
    """
    try:
        return parse_uid(text)
    except PeerError as error:
        raise RequestInvalid(f"{text!r} is no UID: {error}") from error
