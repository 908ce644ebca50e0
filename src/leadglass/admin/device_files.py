"""The files a device's owner carries to the device: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadglass.identity.files import PUBLIC_MODE, SECRET_MODE, sync_directory, write_new
from leadglass.model.errors import ConfigurationInvalid

KEY, CERTIFICATE, CA, PKCS12 = "key.pem", "cert.pem", "ca.pem", "device.p12"
PRIVATE_FOLDER = 0o700
_SECRETS = frozenset({KEY, PKCS12})


def refuse_to_overwrite(folder: Path) -> None:
    """Look before anything is issued.

    Raises:
        ConfigurationInvalid: one of the files is there.
    """
    for name in (KEY, CERTIFICATE, CA, PKCS12):
        path = folder / name
        if path.is_symlink() or path.exists():
            raise ConfigurationInvalid(f"{path} exists, and is not overwritten: choose another folder")


@contextmanager
def delivered(folder: Path, contents: dict[str, bytes]) -> Iterator[tuple[Path, ...]]:
    """Write the files; if the body then fails, take them back.

    Raises:
        ConfigurationInvalid: a file is there already, or cannot be written.
    """
    made: list[Path] = []
    is_new = not folder.exists()
    try:
        _write(folder, contents, made)
        yield tuple(made)
    except BaseException:  # also an interrupt: a key must not lie about that nobody was told of
        for path in made:
            path.unlink(missing_ok=True)
        if is_new and folder.exists():
            folder.rmdir()
        raise


def _write(folder: Path, contents: dict[str, bytes], made: list[Path]) -> None:
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        for name, content in contents.items():
            path = folder / name
            write_new(path, content, SECRET_MODE if name in _SECRETS else PUBLIC_MODE)
            made.append(path)
        sync_directory(folder.parent)
    except OSError as error:
        raise ConfigurationInvalid(f"cannot write to {folder}: {error.strerror}") from error
