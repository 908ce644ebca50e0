"""Orthanc's settings as a whole: who gets in, and what each became. Defaults as of Orthanc 1.12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leadglass.admin.importing.commented_json import Located
from leadglass.admin.importing.found import Outcome, Remark
from leadglass.model.action import Verb

_SECTIONS_WITHOUT_ACCESS = frozenset(
    {"Dictionary", "ExtraMainDicomTags", "MetricsEnabled", "UserContentType", "UserMetadata", "Warnings"}
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting at the top of a file."""

    file: str
    located: Located

    @property
    def where(self) -> str:
        """``orthanc.json:312``."""
        return f"{self.file}:{self.located.line}"


@dataclass(frozen=True, slots=True)
class Settings:
    """All files together. ``source`` is what a setting's place is called that stands in none of them."""

    by_name: Mapping[str, Setting]
    source: str

    def get(self, name: str) -> Setting | None:
        """The setting, if any file has it."""
        return self.by_name.get(name)

    def where(self, name: str) -> str:
        """Where it stands; of one that stands nowhere, that it is the default."""
        setting = self.by_name.get(name)
        return setting.where if setting else f"{self.source} (default)"

    def is_true(self, name: str, *, default: bool) -> bool:
        """Its value, or the default; of what is neither true nor false, the default as well."""
        setting = self.by_name.get(name)
        value = setting.located.value if setting else default
        return value if isinstance(value, bool) else default

    def size(self, name: str) -> int:
        """How much is in a list or an object; nothing in what is neither."""
        setting = self.by_name.get(name)
        value = setting.located.value if setting else None
        return len(value) if isinstance(value, list | dict) else 0

    def open_to_anybody(self) -> frozenset[Verb]:
        """What strangers may."""
        return frozenset(verb for name, verb, default in _ALWAYS if self.is_true(name, default=default))


_ALWAYS = (
    ("DicomAlwaysAllowEcho", Verb.ECHO, True),
    ("DicomAlwaysAllowStore", Verb.STORE, True),
    ("DicomAlwaysAllowFind", Verb.FIND, False),
    ("DicomAlwaysAllowFindWorklist", Verb.WORKLIST, False),
    ("DicomAlwaysAllowGet", Verb.GET, False),
    ("DicomAlwaysAllowMove", Verb.MOVE, False),
)

_Judged = tuple[str, Outcome, str, str]


def remarks_on(settings: Settings) -> Iterator[Remark]:
    """What became of every setting that decides who may do what, in their order here; then the others."""
    told: set[str] = {"DicomModalities", "DicomModalitiesInDatabase"}
    for judge in (_strangers, _checks, _encryption, _web, _own, _elsewhere):
        for name, outcome, became, why in judge(settings):
            told.add(name)
            yield Remark(settings.where(name), name, outcome, became, why)
    for name, setting in settings.by_name.items():
        if name in told or name in _SECTIONS_WITHOUT_ACCESS or name in _KNOWN_SECTIONS:
            continue
        if isinstance(setting.located.value, dict) and setting.located.value:
            told.add(name)
            why = "a plugin's section: read it by hand, it may let people or machines in"
            yield Remark(setting.where, name, Outcome.LEFT_OUT, "-", why)
    others = len(settings.by_name.keys() - told)
    if others:
        why = "they do not say who may do what, or say nothing"
        yield Remark(settings.source, f"{others} other settings", Outcome.ELSEWHERE, "-", why)


def _strangers(settings: Settings) -> Iterator[_Judged]:
    for name, verb, default in _ALWAYS:
        if settings.is_true(name, default=default):
            why = f"anybody might {verb}, listed or not; here only who a flow names"
            yield name, Outcome.NARROWED, f"no {verb} for strangers", why
        elif settings.get(name):
            yield name, Outcome.TAKEN, f"no {verb} for strangers", "as everything that no flow permits"


def _checks(settings: Settings) -> Iterator[_Judged]:
    if settings.is_true("DicomCheckModalityHost", default=False):
        yield "DicomCheckModalityHost", Outcome.TAKEN, "ip of every device", "each is pinned to its address"
    else:
        why = "a listed AE title was let in from anywhere; here only from its own address"
        yield "DicomCheckModalityHost", Outcome.NARROWED, "ip of every device, cidr of its zone", why
    if settings.is_true("DicomCheckCalledAet", default=False):
        yield "DicomCheckCalledAet", Outcome.TAKEN, "ae of leadglass.toml", "always checked"
    else:
        why = "any called AE title was answered; here only those of leadglass.toml"
        yield "DicomCheckCalledAet", Outcome.NARROWED, "ae of leadglass.toml", why
    if not settings.is_true("StrictAetComparison", default=False):
        why = "AE titles were the same in capitals or not; here they are compared as written"
        yield "StrictAetComparison", Outcome.NARROWED, "ae of every device", why


def _encryption(settings: Settings) -> Iterator[_Judged]:
    if not settings.is_true("DicomTlsEnabled", default=False):
        why = "DICOM came unencrypted from anywhere; here from the pinned addresses, and until review_by"
        yield "DicomTlsEnabled", Outcome.NARROWED, "a zone with transport plain", why
        return
    yield "DicomTlsEnabled", Outcome.TAKEN, "a zone with transport mtls", "a certificate for each device"
    if not settings.is_true("DicomTlsRemoteCertificateRequired", default=True):
        why = "peers without a certificate were let in; here none is"
        yield "DicomTlsRemoteCertificateRequired", Outcome.NARROWED, "transport mtls", why


def _web(settings: Settings) -> Iterator[_Judged]:
    remote = settings.is_true("RemoteAccessAllowed", default=False)
    if remote and not settings.is_true("AuthenticationEnabled", default=remote):
        why = "anybody on the network had the whole REST API without a password; here there is none"
        yield "AuthenticationEnabled", Outcome.NARROWED, "-", why
    if remote:
        why = "Orthanc's REST API was open to the network; here there is none"
        yield "RemoteAccessAllowed", Outcome.NARROWED, "-", why
    users = settings.size("RegisteredUsers")
    if users:
        why = f"{users} in all: their names and passwords were not taken; people get their own access"
        yield "RegisteredUsers", Outcome.LEFT_OUT, "-", why
    peers = settings.size("OrthancPeers")
    if peers:
        why = f"{peers} in all, over HTTP: connect each by DICOM as a device, and give it flows"
        yield "OrthancPeers", Outcome.LEFT_OUT, "-", why


def _own(settings: Settings) -> Iterator[_Judged]:
    for name, became in (("DicomAet", "ae of leadglass.toml"), ("DicomPort", "listeners of leadglass.toml")):
        setting = settings.get(name)
        if setting is None:
            continue
        value = setting.located.value
        is_plain = isinstance(value, str | int) and "${" not in str(value)
        why = f"it was {str(value)[:64]}" if is_plain else "it comes from the environment"
        yield name, Outcome.ELSEWHERE, became, why
    if not settings.is_true("DicomServerEnabled", default=True):
        why = "Orthanc took no DICOM at all, so nobody gets a flow to the archive"
        yield "DicomServerEnabled", Outcome.TAKEN, "no flows", why
    listed = settings.size("DicomModalities")
    if listed:
        why = "whoever used Orthanc could send to any modality; here: zones allow archive store NAME"
        yield "sending to DicomModalities", Outcome.NARROWED, "no flow from the archive", why


def _elsewhere(settings: Settings) -> Iterator[_Judged]:
    for name, why in (
        ("LuaScripts", "scripts may forward images and filter callers: read them by hand"),
        ("Plugins", "plugins may open doors of their own, or close some: read them by hand"),
    ):
        if settings.size(name):
            yield name, Outcome.LEFT_OUT, "-", why
    for name, (outcome, why) in _KNOWN_SECTIONS.items():
        if settings.size(name) and not _is_switched_off(settings, name):
            yield name, outcome, "-", why


def _is_switched_off(settings: Settings, name: str) -> bool:
    setting = settings.get(name)
    section = setting.located.value if setting else None
    switch = section.get("Enable") if isinstance(section, dict) else None
    return switch is not None and switch.value is False


_KNOWN_SECTIONS: Mapping[str, tuple[Outcome, str]] = {
    "Worklists": (Outcome.LEFT_OUT, "worklists are understood in flows (worklist) and served later"),
    "DicomWeb": (Outcome.LEFT_OUT, "DICOMweb is not served yet, so nobody has it"),
    "Authorization": (Outcome.LEFT_OUT, "a web service decided; write its rules as flows"),
    "ServeFolders": (Outcome.LEFT_OUT, "no folders are served here"),
}
