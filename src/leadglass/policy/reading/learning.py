"""``[learning]``: addresses whose machines are watched before they have a rule."""

from __future__ import annotations

from datetime import date

from leadglass.policy.conditions.expires import Expires
from leadglass.policy.model import Learning
from leadglass.policy.reading.devices import read_ip
from leadglass.policy.reading.words import dotted, refuse_reserved
from leadglass.sitefile.table import Table


def read_learning(name: str, table: Table) -> Learning:
    """``us1 = { ip = "10.20.9.5", zone = "legacy", until = 2026-12-11 }``; what is wrong is noted."""
    refuse_reserved(name, table.notes, table.place)
    table.require("ip", 'name the one address that is watched: ip = "10.20.9.5"')
    table.require("zone", "say which zone it is in: a name out of [zones]")
    table.require("until", "say the last day it is watched, without quotes: until = 2026-12-11")
    learning = Learning(
        name=name,
        zone=table.text("zone") or "",
        ip=read_ip(table),
        until=Expires(f"{dotted(table)}.until", table.day("until") or date.min),
    )
    table.refuse_others()
    return learning
