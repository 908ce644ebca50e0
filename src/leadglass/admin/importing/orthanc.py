"""Orthanc: its JSON configuration, one file or a folder of several. Facts as of Orthanc 1.12.

What it leaves out means the default, and most defaults are open: Orthanc lets a listed modality do
everything that is not forbidden it, and anybody echo and store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from leadglass.admin.importing.commented_json import parse_commented_json
from leadglass.admin.importing.found import Found, FoundDevice, Outcome, Remark, SourceInvalid
from leadglass.admin.importing.orthanc_modalities import Standing, read_modality
from leadglass.admin.importing.orthanc_settings import Setting, Settings, remarks_on
from leadglass.admin.importing.reading import read_text
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.sitefile import quoted

MAX_FILE_BYTES = 1 << 20
MAX_FILES = 64

_MODALITIES = "DicomModalities"


def read_orthanc(path: Path) -> Found:
    """What an Orthanc at work with this file, or all ``*.json`` of this folder, lets machines do.

    Raises:
        SourceInvalid: a file is not Orthanc's JSON, or two of them set the same; with file and line.
        ConfigurationInvalid: a file is missing, unreadable or too large.
    """
    settings = _merged(path)
    devices, remarks = [], list(remarks_on(settings))
    for found in _modalities(settings):
        if isinstance(found, Remark):
            remarks.append(found)
        else:
            devices.append(found)
    return Found("Orthanc", tuple(devices), tuple(remarks))


def _merged(path: Path) -> Settings:
    merged: dict[str, Setting] = {}
    for file in _files(path):
        top = parse_commented_json(read_text(file, MAX_FILE_BYTES), str(file))
        if not isinstance(top.value, dict):
            raise SourceInvalid(f"{file}:{top.line}", "Orthanc's configuration is an object: { ... }")
        for name, value in top.value.items():
            rival = merged.setdefault(name, Setting(file.name, value))
            if rival.located is not value:
                where = f"{file}:{value.line}"
                raise SourceInvalid(
                    where, f"{quoted(name)} is set in {rival.where} too; Orthanc refuses that as well"
                )
    return Settings(merged, path.name or str(path))


def _files(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,)
    try:
        files = tuple(sorted(each for each in path.iterdir() if each.suffix == ".json"))
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read {path}: {error.strerror}") from error
    if not files:
        raise ConfigurationInvalid(f"{path} has no *.json: name Orthanc's configuration file or its folder")
    if len(files) > MAX_FILES:
        raise ConfigurationInvalid(f"{path} has more than {MAX_FILES} files: name the right folder")
    return files


def _modalities(settings: Settings) -> Iterator[FoundDevice | Remark]:
    listed = settings.get(_MODALITIES)
    if settings.is_true("DicomModalitiesInDatabase", default=False):
        where = settings.where("DicomModalitiesInDatabase")
        why = "they are in Orthanc's database, not in this file: list them with its /modalities?expand"
        yield Remark(where, _MODALITIES, Outcome.LEFT_OUT, "-", why)
        return
    if listed is None:
        return
    if not isinstance(listed.located.value, dict):
        yield Remark(listed.where, _MODALITIES, Outcome.LEFT_OUT, "-", "it is not an object")
        return
    standing = Standing(
        listens=settings.is_true("DicomServerEnabled", default=True),
        transport=Transport.MTLS if settings.is_true("DicomTlsEnabled", default=False) else Transport.PLAIN,
        anybody_may=settings.open_to_anybody(),
    )
    for symbol, entry in listed.located.value.items():
        yield from read_modality(symbol, entry, listed.file, standing)
