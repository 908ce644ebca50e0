"""A sample hospital: three zones, twelve devices, two groups of people; and what its policy says, read by
the simplest means.

``naive_answer`` knows nothing of our policy code: it reads the TOML and follows the sentences of the
reference one by one, so that two readings of the same text can be compared cell by cell.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODALITIES = ("CT", "MR", "US", "XA")
TRANSPORTS = ("mtls", "plain", "https")
VERBS = ("echo", "store", "find", "get", "move", "worklist", "mpps", "commit")
DELIVER = "deliver"
"""The ninth: the archive stores at the device."""
SEARCHES = ("find", "get", "move")
PEOPLE = ("rads", "techs", "nobody")
"""Groups of the policy; and somebody of none."""
ROLES = {"rads": "radiologist", "techs": "technologist", "nobody": "visitor"}

POLICY = """
version = 1
[zones]
modalities = { cidr = ["127.0.1.0/24"], transport = "mtls" }
legacy     = { cidr = ["127.0.9.0/24"], transport = "plain", review_by = 2099-01-31 }
reading    = { cidr = ["127.0.3.0/24"], transport = ["mtls", "https"] }
[devices]
ct1    = { zone = "modalities", ae = ["CT1"], ip = "127.0.1.11", makes = ["CT"] }
ct2    = { zone = "modalities", ae = ["CT2"], ip = "127.0.1.12", makes = ["CT", "MR"] }
mr1    = { zone = "modalities", ae = ["MR1"], ip = "127.0.1.13", makes = ["MR"] }
xa1    = { zone = "modalities", ae = ["XA1"], ip = "127.0.1.14", makes = [] }
loader = { zone = "modalities", ae = ["LOADER"], ip = "127.0.1.15" }
us1    = { zone = "legacy", ae = ["US1"], ip = "127.0.9.11", makes = ["US"] }
cr1    = { zone = "legacy", ae = ["CR1"], ip = "127.0.9.12" }
oldws  = { zone = "legacy", ae = ["OLDWS"], ip = "127.0.9.13" }
ws1    = { zone = "reading", ae = ["WS1"], ip = "127.0.3.11", address = "127.0.3.11:PORT" }
ws2    = { zone = "reading", ae = ["WS2"], ip = "127.0.3.12" }
pacs   = { zone = "legacy", ae = ["PACS"], ip = "127.0.9.14", address = "127.0.0.1:PORT" }
gone   = { zone = "reading", ae = ["GONE"], ip = "127.0.3.13", revoked = 2026-01-01 }
[groups]
sonos = ["device:us1", "device:cr1"]
rads  = ["role:radiologist"]
techs = ["role:technologist"]
[flows]
acquire = { from = ["zone:modalities"], to = "archive", can = ["echo", "store", "worklist", "commit"] }
old     = { from = ["group:sonos"], to = "archive", can = ["echo", "store"] }
search  = { from = ["oldws"], to = "archive", can = ["find"], only = ["modality:US"] }
read    = { from = ["zone:reading"], to = "archive", can = ["echo", "find", "get", "move"] }
some    = { from = ["mr1"], to = "archive", can = ["find", "get", "move"], only = ["modality:MR"] }
key     = { from = ["ws2"], to = "archive", can = ["store"], only = "modality:XA" }
deliver = { from = ["archive"], to = "pacs", can = ["store"], only = ["modality:CT", "modality:MR"] }
[grants]
diagnose = { who = "rads", from = ["reading"], on = "any", can = ["list", "view"], need = ["mfa"] }
look = { who = "techs", from = ["reading"], on = "any", can = ["list"], only = ["modality:CT"] }
"""
# The archive sends to 127.0.0.1, which the zone must hold.
POLICY = POLICY.replace('cidr = ["127.0.9.0/24"]', 'cidr = ["127.0.9.0/24", "127.0.0.1/32"]')


@dataclass(frozen=True, slots=True)
class HospitalCell:
    """A question of the matrix."""

    device: str
    verb: str
    modality: str
    transport: str


@dataclass(frozen=True, slots=True)
class PersonCell:
    """A question of the matrix of people: somebody of a group, in a zone, with a second factor or without."""

    group: str
    verb: str
    modality: str
    zone: str
    transport: str
    mfa: bool


def tables(port: int) -> Mapping[str, Any]:
    """The policy as TOML reads it."""
    return tomllib.loads(policy_text(port))


def policy_text(port: int) -> str:
    """The policy; ``port`` is where the devices listen."""
    return POLICY.replace('address = "127.0.3.11:PORT"', f'address = "127.0.3.11:{port}"').replace(
        "127.0.0.1:PORT", f"127.0.0.1:{port}"
    )


def cells(port: int) -> list[HospitalCell]:
    """The whole matrix."""
    return [
        HospitalCell(device, verb, modality, transport)
        for device in tables(port)["devices"]
        for verb in (*VERBS, DELIVER)
        for modality in MODALITIES
        for transport in TRANSPORTS
    ]


def person_cells() -> list[PersonCell]:
    """The whole matrix of people: they list and view, and what only machines do stays refused."""
    return [
        PersonCell(group, verb, modality, zone, transport, mfa)
        for group in PEOPLE
        for verb in ("list", "view", *VERBS)
        for modality in MODALITIES
        for zone in ("modalities", "legacy", "reading")
        for transport in TRANSPORTS
        for mfa in (True, False)
    ]


def naive_person_answer(policy: Mapping[str, Any], cell: PersonCell) -> bool:
    """Whether the policy allows it, sentence by sentence."""
    if cell.transport != "https" or not _comes_by(policy, cell.zone, "https"):
        return False
    return any(
        grant["who"] == cell.group
        and cell.zone in grant["from"]
        and cell.verb in grant["can"]
        and (cell.mfa or "mfa" not in grant.get("need", ()))
        and _is_meant(grant, cell.modality)
        for grant in policy["grants"].values()
    )


def naive_answer(policy: Mapping[str, Any], cell: HospitalCell) -> bool:
    """Whether the policy allows it, sentence by sentence."""
    device = policy["devices"][cell.device]
    if "revoked" in device:
        return False
    if cell.verb == DELIVER:
        return "address" in device and any(
            flow["from"] == ["archive"]
            and flow["to"] == cell.device
            and "store" in flow["can"]
            and _is_meant(flow, cell.modality)
            for flow in policy["flows"].values()
        )
    if cell.transport == "https" or not _comes_by(policy, device["zone"], cell.transport):
        return False  # a device speaks DICOM
    if cell.verb == "store" and cell.modality not in device.get("makes", MODALITIES):
        return False
    return any(
        flow["to"] == "archive"
        and _names(policy, flow, cell.device)
        and cell.verb in flow["can"]
        and (cell.verb not in ("store", *SEARCHES) or _is_meant(flow, cell.modality))
        for flow in policy["flows"].values()
    )


def _comes_by(policy: Mapping[str, Any], zone: str, transport: str) -> bool:
    said = policy["zones"][zone]["transport"]
    return transport in ([said] if isinstance(said, str) else said)


def _names(policy: Mapping[str, Any], flow: Mapping[str, Any], device: str) -> bool:
    zone = policy["devices"][device]["zone"]
    groups = [name for name, members in policy["groups"].items() if f"device:{device}" in members]
    return bool({device, f"zone:{zone}", *(f"group:{name}" for name in groups)} & set(flow["from"]))


def _is_meant(flow: Mapping[str, Any], modality: str) -> bool:
    only = flow.get("only")
    return only is None or f"modality:{modality}" in ([only] if isinstance(only, str) else only)
