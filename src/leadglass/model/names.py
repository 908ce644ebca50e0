"""UIDs and AE titles: checked once at the door, plain strings inside."""

from __future__ import annotations

import re
from typing import NewType

from leadglass.model.errors import PeerError

Uid = NewType("Uid", str)
AETitle = NewType("AETitle", str)

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")

DEVICE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
"""What a certificate of ours can name. A device that shows none may be called otherwise."""

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a study can be labelled with."""

MAX_UID_CHARACTERS = 64


def parse_uid(text: str) -> Uid:
    """A UID without its padding. PS3.5 §9: at most 64 of ``0-9`` and ``.``.

    Components with leading zeros are taken: old devices send them, and a UID is compared as text.

    Raises:
        PeerError: not a UID.
    """
    stripped = text.rstrip("\0 ")
    if len(stripped) > MAX_UID_CHARACTERS or not _UID.fullmatch(stripped):
        raise PeerError(f"not a UID ({len(stripped)} characters)")
    return Uid(stripped)


def parse_ae_title(text: str) -> AETitle:
    """An AE title without its insignificant spaces. PS3.5 §6.2, VR AE: 1 to 16 characters.

    Raises:
        PeerError: not an AE title.
    """
    stripped = text.strip(" \0")
    if not _AE_TITLE.fullmatch(stripped):
        raise PeerError("not an AE title: 1 to 16 printable ASCII characters, no backslash")
    return AETitle(stripped)
