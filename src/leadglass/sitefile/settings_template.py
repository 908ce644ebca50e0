"""The fresh, commented ``leadglass.toml`` of a new site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from leadglass.sitefile.settings import VERSION, Limits, Listener, StorageSettings
from leadglass.sitefile.toml_text import toml_string, toml_strings


def render_settings(
    name: str, ae: Sequence[str], listeners: Sequence[Listener], storage: StorageSettings
) -> str:
    """A ``leadglass.toml`` that ``read_settings`` reads back to these values and default limits."""
    lines = [
        "# What this Leadglass site listens on, where it stores, and its limits.",
        "# An unknown key is an error. Who may do what is written in policy.toml.",
        f"version = {VERSION}",
        f"name = {toml_string(name)}",
        f"ae = {toml_strings(ae)}  # the AE titles the archive answers to; the first is its name",
        "",
        '[listeners]  # transport: "mtls" wants a client certificate; "plain" is for scanners that cannot',
        *(_listener_line(listener) for listener in listeners),
        "",
        "[storage]",
        f"segments = {toml_string(storage.segments)}  # relative to this file's folder, or absolute",
        f"segment_mib = {storage.segment_mib}  # a new segment is begun at this size",
        "",
        "[limits]  # what one peer may cost; remove the # to change one",
        *(f"# {row.name} = {row.default}  # {row.metadata['says']}" for row in fields(Limits)),
    ]
    return "\n".join(lines) + "\n"


def _listener_line(listener: Listener) -> str:
    address = toml_string(str(listener.address))
    return f'{listener.name} = {{ address = {address}, transport = "{listener.transport}" }}'
