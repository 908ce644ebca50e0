"""One entry of Orthanc's ``DicomModalities``: ``[AET, HOST, PORT, PATCH]``, or the same as an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from leadglass.admin.importing.commented_json import Located
from leadglass.admin.importing.found import FoundDevice, Outcome, Remark
from leadglass.model.action import Verb
from leadglass.model.caller import Transport
from leadglass.sitefile import quoted

VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "AllowEcho": Verb.ECHO,
        "AllowStore": Verb.STORE,
        "AllowFind": Verb.FIND,
        "AllowFindWorklist": Verb.WORKLIST,
        "AllowGet": Verb.GET,
        "AllowMove": Verb.MOVE,
        "AllowStorageCommitment": Verb.COMMIT,
        "AllowNAction": Verb.COMMIT,
    }
)
"""What each permission is here. ``AllowNAction`` is the older half of ``AllowStorageCommitment``."""

_ARRAY = ("AET", "Host", "Port", "Manufacturer")
_NO_ACCESS = frozenset({"Manufacturer", "Timeout", "AllowTranscoding", "AllowEventReport", "RetrieveMethod"})
_VARIABLE = "${"


@dataclass(frozen=True, slots=True)
class Standing:
    """What Orthanc's own settings make of every modality. ``anybody_may`` goes before an entry's no."""

    listens: bool
    transport: Transport
    anybody_may: frozenset[Verb]


def read_modality(
    symbol: str, entry: Located, file: str, standing: Standing
) -> Iterator[FoundDevice | Remark]:
    """The device of an entry, or why there is none, and what of it is not taken over.

    An environment variable is not filled in: its value is that of another process.
    """
    what, where = f"DicomModalities.{quoted(symbol)}", f"{file}:{entry.line}"
    members = _members(entry)
    if members is None:
        yield Remark(where, what, Outcome.LEFT_OUT, "-", "it is neither [AET, HOST, PORT] nor an object")
        return
    variables = sorted(key for key, value in members.items() if _VARIABLE in str(value.value))
    if variables or _VARIABLE in symbol:
        why = f"{', '.join(variables) or 'its name'} comes from the environment: write the value itself"
        yield Remark(where, what, Outcome.LEFT_OUT, "-", why)
        return
    title, host = _text(members, "AET"), _text(members, "Host")
    if not title or not host:
        yield Remark(where, what, Outcome.LEFT_OUT, "-", f"it has no {'Host' if title else 'AET'}")
        return
    yield from _oddities(members, file, what, standing)
    said = _permissions(members)
    granted = frozenset(verb for verb, yes in said.items() if yes) if standing.listens else frozenset()
    silent = frozenset(VERBS.values()) - said.keys() if standing.listens else frozenset()
    uses_tls = _is_true(members, "UseDicomTls")
    yield FoundDevice(
        where=where,
        what=what,
        name=symbol,
        titles=(title,),
        host=host,
        port=_port(members),
        transport=Transport.MTLS if uses_tls else standing.transport,
        granted=granted | (silent & {Verb.ECHO}),
        closed=silent - {Verb.ECHO},
        refused=frozenset(verb for verb, yes in said.items() if not yes),
        inventory=_vendor(members),
    )


def _members(entry: Located) -> dict[str, Located] | None:
    if isinstance(entry.value, dict):
        return entry.value
    if isinstance(entry.value, list) and 3 <= len(entry.value) <= len(_ARRAY):
        return dict(zip(_ARRAY, entry.value, strict=False))
    return None


def _permissions(members: Mapping[str, Located]) -> dict[Verb, bool]:
    """What the entry says of each verb; of two words for one, a no holds, and so does nonsense."""
    said: dict[Verb, bool] = {}
    for key, verb in VERBS.items():
        if key in members:
            said[verb] = said.get(verb, True) and members[key].value is True
    return said


def _oddities(members: Mapping[str, Located], file: str, what: str, standing: Standing) -> Iterator[Remark]:
    for key, located in members.items():
        inner, where = f"{what}.{quoted(key)}", f"{file}:{located.line}"
        if key in VERBS and not isinstance(located.value, bool):
            yield Remark(where, inner, Outcome.LEFT_OUT, "-", "it is neither true nor false, so it is no")
        elif key in VERBS and located.value is False and VERBS[key] in standing.anybody_may:
            why = "in Orthanc it had no effect, since anybody might; here it has, and a test holds it"
            yield Remark(where, inner, Outcome.NARROWED, f"no {VERBS[key]}", why)
        elif key == "LocalAet":
            why = "the archive calls every device by the first ae of leadglass.toml"
            yield Remark(where, inner, Outcome.LEFT_OUT, "-", why)
        elif key == "UseDicomTls" and located.value is True and standing.transport is Transport.PLAIN:
            why = "it took TLS from Orthanc and spoke plaintext to it; here it needs a certificate both ways"
            yield Remark(where, inner, Outcome.NARROWED, "mtls", why)
        elif key not in {*VERBS, *_ARRAY, *_NO_ACCESS, "UseDicomTls"}:
            yield Remark(where, inner, Outcome.LEFT_OUT, "-", "this import does not know it")


def _text(members: Mapping[str, Located], key: str) -> str:
    value = members[key].value if key in members else None
    return value.strip() if isinstance(value, str) else ""


def _is_true(members: Mapping[str, Located], key: str) -> bool:
    return key in members and members[key].value is True


def _port(members: Mapping[str, Located]) -> int | None:
    value = members["Port"].value if "Port" in members else None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:6])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _vendor(members: Mapping[str, Located]) -> Mapping[str, str]:
    patch = _text(members, "Manufacturer")
    return MappingProxyType({} if patch.startswith("Generic") or not patch else {"vendor": patch})
