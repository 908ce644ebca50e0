"""The site's files: TOML with places, strict tables, findings, and ``leadglass.toml`` itself."""

from leadglass.sitefile.address import SocketAddress, parse_socket_address
from leadglass.sitefile.finding import FileInvalid, Finding, Place, Severity, quoted
from leadglass.sitefile.nearest import nearest, suggest
from leadglass.sitefile.settings import Limits, Listener, Settings, StorageSettings, read_settings
from leadglass.sitefile.settings_template import render_settings
from leadglass.sitefile.source import Source, decode_text, read_source
from leadglass.sitefile.toml_text import toml_string, toml_strings

__all__ = [
    "FileInvalid",
    "Finding",
    "Limits",
    "Listener",
    "Place",
    "Settings",
    "Severity",
    "SocketAddress",
    "Source",
    "StorageSettings",
    "decode_text",
    "nearest",
    "parse_socket_address",
    "quoted",
    "read_settings",
    "read_source",
    "render_settings",
    "suggest",
    "toml_string",
    "toml_strings",
]
