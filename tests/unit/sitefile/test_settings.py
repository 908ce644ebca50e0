from __future__ import annotations

from dataclasses import fields

import pytest

from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid
from leadglass.sitefile import (
    FileInvalid,
    Limits,
    Listener,
    StorageSettings,
    parse_socket_address,
    read_settings,
    render_settings,
)

GOOD = """\
version = 1
name = "North Clinic"
ae = ["NORTH", "NORTH2"]
[listeners]
dicom-tls = { address = "127.0.0.1:2762", transport = "mtls" }
legacy = { address = "[::1]:11112", transport = "plain" }
[storage]
segments = "/srv/segments"
segment_mib = 64
[limits]
pdu_s = 5
"""
HEAD = 'version = 1\nname = "N"\nae = ["N"]\n'


def findings(text: str) -> list[str]:
    with pytest.raises(FileInvalid) as caught:
        read_settings(text, path="leadglass.toml")
    assert isinstance(caught.value, ConfigurationInvalid)
    return [str(finding).removeprefix("leadglass.toml:") for finding in caught.value.findings]


def test_good_file_is_read() -> None:
    settings = read_settings(GOOD, path="leadglass.toml")
    assert (settings.name, settings.ae) == ("North Clinic", ("NORTH", "NORTH2"))
    assert settings.listeners["legacy"] == Listener(
        "legacy", parse_socket_address("[::1]:11112"), Transport.PLAIN
    )
    assert settings.storage == StorageSettings("/srv/segments", 64)
    assert settings.limits == Limits(pdu_s=5)


def test_what_is_left_out_has_the_defaults_of_the_design() -> None:
    limits = read_settings(HEAD, path="leadglass.toml").limits
    assert {row.name: getattr(limits, row.name) for row in fields(limits)} == {
        "associate_rq_kib": 64,
        "associate_rq_s": 10,
        "pdu_received_kib": 1024,
        "pdu_announced_kib": 256,
        "pdu_s": 30,
        "idle_association_s": 600,
        "unassociated_per_address": 32,
        "unassociated_total": 256,
        "unassociated_reserved_per_zone": 8,
        "associations_per_device": 64,
        "associations_total": 2048,
        "dataset_depth": 100,
        "element_mib": 16,
        "inflate_ratio": 200,
        "inflate_mib": 512,
        "find_answers": 10000,
        "learned_objects": 2000,
        "learned_gib": 20,
        "performed_operations_window": 16,
    }


def test_empty_file_is_told_everything_it_lacks() -> None:
    assert findings("") == [
        '1:1: error: the file has no "version"; add version = 1 at the top',
        '1:1: error: the file has no "name"; give the site a name: name = "North Clinic"',
        '1:1: error: the file has no "ae"; say what the archive answers to: ae = ["NORTH"]',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "[limit]\n", '4:2: error: unknown key "limit"; did you mean "limits"?'),
        (HEAD + "[limits]\npdu_ss = 1\n", '5:1: error: unknown key "pdu_ss"; did you mean "pdu_s"?'),
        (HEAD + "[limits]\npdu_s = 0\n", '5:9: error: "pdu_s" must be from 1 to 3600'),
        (HEAD + '[limits]\npdu_s = "5"\n', '5:9: error: "pdu_s" must be a whole number, not a string'),
        (
            HEAD + "[limits]\npdu_announced_kib = 2048\n",
            "5:21: error: announces longer PDUs than it receives; pdu_announced_kib must not be",
        ),
        (HEAD + '[storage]\nsegments = " "\n', '5:12: error: "segments" must name a folder'),
        ('version = 2\nname = "N"\nae = ["N"]\n', "1:11: error: unknown version 2; this one reads 1"),
        ('version = 1\nname = ""\nae = ["N"]\n', '2:8: error: "name" must have 1 to 64 characters'),
        ('version = 1\nname = "N"\nae = []\n', "3:6: error: the archive has no AE title; name at least one"),
        (
            'version = 1\nname = "N"\nae = ["MUCH-TOO-LONG-FOR-AN-AE"]\n',
            '3:7: error: "MUCH-TOO-LONG-FOR-AN-AE": not an AE title: 1 to 16 printable',
        ),
        (
            HEAD + '[listeners]\na = { address = "localhost:1", transport = "mtls" }\n',
            '5:17: error: "localhost:1": not an IP address and port; write "10.20.3.11:11112"',
        ),
        (
            HEAD + '[listeners]\na = { address = "127.0.0.1:1", transport = "mtsl" }\n',
            '5:44: error: "transport" has unknown "mtsl"; did you mean "mtls"?',
        ),
        (HEAD + '[listeners]\na = { transport = "mtls" }\n', '5:1: error: listeners.a has no "address"'),
        (
            HEAD + '[listeners]\na = { address = "127.0.0.1:1" }\n',
            '5:1: error: listeners.a has no "transport"',
        ),
    ],
)
def test_each_mistake_is_named_with_its_place(text: str, message: str) -> None:
    (found,) = findings(text)
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("127.0.0.1:104", "127.0.0.1:104", True),
        ("0.0.0.0:104", "127.0.0.1:104", True),
        ("127.0.0.1:104", "0.0.0.0:104", True),
        ("127.0.0.1:104", "127.0.0.2:104", False),
        ("127.0.0.1:104", "127.0.0.1:105", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("[::]:104", "0.0.0.0:104", False),
    ],
)
def test_two_listeners_may_not_take_one_address(one: str, other: str, collide: bool) -> None:  # noqa: FBT001 - a column of the table
    text = (
        f'{HEAD}[listeners]\na = {{ address = "{one}", transport = "mtls" }}\n'
        f'b = {{ address = "{other}", transport = "plain" }}\n'
    )
    if collide:
        assert findings(text) == [
            '6:17: error: listener "b" takes the address of "a"; give each listener its own port'
        ]
    else:
        assert set(read_settings(text, path="f").listeners) == {"a", "b"}


def test_rendered_settings_read_back_as_they_were_given() -> None:
    listener = Listener("dicom-tls", parse_socket_address("[::1]:2762"), Transport.MTLS)
    text = render_settings('A "quoted" clinic', ["NORTH"], [listener], StorageSettings())
    settings = read_settings(text, path="leadglass.toml")
    assert settings.name == 'A "quoted" clinic'
    assert settings.ae == ("NORTH",)
    assert dict(settings.listeners) == {"dicom-tls": listener}
    assert settings.limits == Limits()
    assert settings.storage == StorageSettings()


def test_every_limit_can_be_uncommented_as_it_stands() -> None:
    text = render_settings("N", ["N"], [], StorageSettings())
    head, _, rows = text.partition("[limits]")
    first, *limits = rows.splitlines()
    assert first.startswith("  # ")
    assert (
        read_settings(
            head + "[limits]\n" + "\n".join(row.removeprefix("# ") for row in limits), path="f"
        ).limits
        == Limits()
    )
