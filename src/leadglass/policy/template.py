"""The fresh, commented ``policy.toml`` of a new site: closed until a device is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from leadglass.model.caller import Transport
from leadglass.policy.model import VERSION
from leadglass.sitefile.toml_text import toml_comment, toml_string, toml_strings

MODALITIES_ZONE = "modalities"
READING_ZONE = "reading"


@dataclass(frozen=True, slots=True)
class TemplateZone:
    """A zone to write. No ``cidrs`` means nobody, until one is filled in."""

    name: str
    cidrs: tuple[str, ...]
    transport: Transport
    review_by: date | None = None
    comment: str = ""


def render_policy(site_name: str, zones: Sequence[TemplateZone]) -> str:
    """A policy that loads without errors and permits nobody until a device is added.

    Flows are written for a zone ``modalities``, a zone ``reading``, and each plaintext zone given.
    """
    lines = [
        f"# Who may do what at {toml_comment(site_name)}. What is not written here is refused.",
        "# Rules only add, their order never matters, an empty list means nobody.",
        '# After a change: leadglass zones check. To ask: leadglass zones explain "ct1 store archive".',
        f"version = {VERSION}",
        "",
        "[zones]  # where a connection may come from, and how: mtls, https, or plain until review_by",
        *(line for zone in zones for line in _zone_lines(zone)),
        "",
        "[devices]  # machines; an AE title belongs to one of them. leadglass device add writes here",
        '# ct1 = { zone = "modalities", ae = ["CT1"], makes = ["CT", "SR"], owner = "radiology" }',
        "",
        "[groups]  # people, by local role or OIDC claim",
        '# rads = ["role:radiologist"]',
        "",
        "[flows]  # what machines may do; the name stands in every audit line",
        *(line for zone in zones for line in _flow_lines(zone)),
        "",
        "[grants]  # what people may do",
        '# home = { who = "rads", from = ["reading"], on = "any", can = ["list", "view"], need = ["mfa"] }',
        "",
        "[tests]  # run at every load; one failure refuses the change",
        "allow = []",
        'deny = ["internet echo archive"]',
    ]
    return "\n".join(lines) + "\n"


def _zone_lines(zone: TemplateZone) -> list[str]:
    review = "" if zone.review_by is None else f", review_by = {zone.review_by.isoformat()}"
    remark = zone.comment or ("" if zone.cidrs else "nobody yet: add the range its devices are in")
    comment = f"  # {toml_comment(remark)}" if remark else ""
    cidrs = toml_strings(zone.cidrs)
    transport = toml_string(zone.transport)
    return [f"{zone.name} = {{ cidr = {cidrs}, transport = {transport}{review} }}{comment}"]


def _flow_lines(zone: TemplateZone) -> list[str]:
    source = f'from = ["zone:{zone.name}"], to = "archive"'
    if zone.transport is Transport.PLAIN:
        return [
            "# Old devices that cannot encrypt: as little as possible, and no searching.",
            f'old-{zone.name} = {{ {source}, can = ["echo", "store"] }}',
        ]
    match zone.name:
        case "modalities":
            return [
                '# Later also "worklist", "mpps" and "commit", once this server offers them.',
                f'acquire = {{ {source}, can = ["echo", "store"] }}',
            ]
        case "reading":
            return [f'read = {{ {source}, can = ["echo", "find", "get", "move"] }}']
        case _:
            return []
