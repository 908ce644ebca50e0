"""Files of other archives as text, within bounds."""

from __future__ import annotations

from pathlib import Path

from leadglass.admin.importing.found import SourceInvalid
from leadglass.identity.files import read_file


def read_text(path: Path, at_most: int) -> str:
    """The file as text, without a byte order mark.

    Raises:
        SourceInvalid: not UTF-8; with the line.
        ConfigurationInvalid: missing, unreadable, or larger than ``at_most`` bytes.
    """
    content = read_file(path, at_most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceInvalid(f"{path}:{line}", "not UTF-8 text") from None
