"""The flows of one device: no verb, object or day more than its source named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from leadglass.admin.importing.judging import OUTSIDE_ZONE, Kept
from leadglass.admin.policy_text import EntryValue
from leadglass.model.action import ARCHIVE, Verb
from leadglass.model.names import Uid
from leadglass.model.storage_classes import BY_KEYWORD

_KEYWORDS = {uid: word for word, uid in BY_KEYWORD.items()}


@dataclass(frozen=True, slots=True)
class Rule:
    """A flow by its name."""

    name: str
    entry: dict[str, EntryValue]


def rules_of(device: Kept, last_day: date) -> Iterator[Rule]:
    """Its flows. Those of a device outside end on ``last_day``, as they must end on some day."""
    found = device.found
    ends: dict[str, EntryValue] = {"expires": last_day} if device.zone == OUTSIDE_ZONE else {}
    bounded = {Verb.STORE} if found.store_classes and Verb.STORE in found.granted else set()
    if found.granted - bounded:
        can = tuple(verb for verb in Verb if verb in found.granted - bounded)
        given: dict[str, EntryValue] = {"from": (device.name,), "to": ARCHIVE, "can": can}
        yield Rule(f"in-{device.name}", given | ends)
    if bounded:
        only = tuple(f"sop_class:{_class(uid)}" for uid in sorted(found.store_classes))
        stores: dict[str, EntryValue] = {
            "from": (device.name,),
            "to": ARCHIVE,
            "can": ("store",),
            "only": only,
        }
        yield Rule(f"store-{device.name}", stores | ends)
    if device.address is None:
        return
    sends = [delivery.modalities for delivery in found.deliveries]
    if () in sends:
        sends = [()]
    for number, modalities in enumerate(dict.fromkeys(sends)):
        name = f"out{number + 1 if number else ''}-{device.name}"
        entry: dict[str, EntryValue] = {"from": (ARCHIVE,), "to": device.name, "can": ("store",)}
        if modalities:
            entry["only"] = tuple(f"modality:{modality}" for modality in modalities)
        yield Rule(name, entry | ends)


def _class(uid: Uid) -> str:
    return _KEYWORDS.get(uid, uid)
