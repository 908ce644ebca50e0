from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.model.errors import ConfigurationInvalid
from leadglass.policy import PolicyInvalid, check_policy, load_policy
from tests.support.policies import EXAMPLE, NOW
from tests.support.said import assert_said

SAID = Path(__file__).with_name("said_of_mistakes.txt")
HEAD = """\
version = 1
[zones]
m = { cidr = ["10.0.0.0/24"], transport = "mtls" }
p = { cidr = ["10.0.1.0/24"], transport = "plain", review_by = 2027-06-30 }
r = { cidr = ["10.0.2.0/24"], transport = ["mtls", "https"] }
out = { cidr = ["203.0.113.0/28"], transport = "mtls" }
"""
DEVICE = '[devices.d]\nzone = "m"\nae = ["D"]\n'
FLOW = '[flows.f]\nfrom = ["zone:m"]\nto = "archive"\ncan = ["store"]\n'
GRANT = '[groups]\ng = ["role:g"]\n[grants.h]\nwho = "g"\nfrom = ["r"]\non = "any"\ncan = ["view"]\n'
TWICE_PINNED = (
    f'[devices]\na = {{ zone = "m", ae = ["D"], fingerprint = "{"0" * 64}" }}\n'
    f'b = {{ zone = "m", ae = ["E"], fingerprint = ["{"00:" * 31}00"] }}'
)
OUTSIDE = '[devices.d]\nzone = "out"\nae = ["D"]\n[flows.f]\nfrom = ["d"]\nto = "archive"\ncan = ["store"]\n'


def findings(text: str) -> list[str]:
    return [
        str(f).removeprefix("policy.toml:") for f in check_policy(text, path="policy.toml", now=NOW).findings
    ]


def test_example_of_the_design_loads_without_a_single_finding_and_passes_its_tests() -> None:
    checked = check_policy(EXAMPLE, path="policy.toml", now=NOW)
    assert checked.policy is not None
    assert checked.findings == ()
    assert checked.failed_tests == ()


def test_mistyped_key_is_named_with_file_line_column_and_nearest_word() -> None:
    checked = check_policy(EXAMPLE.replace('makes = ["US"]', 'maks = ["US"]'), path="policy.toml", now=NOW)
    assert checked.policy is None
    assert [str(finding) for finding in checked.findings] == [
        'policy.toml:10:61: error: unknown key "maks"; did you mean "makes"?'
    ]


def test_unknown_time_zone_is_named_with_the_nearest() -> None:
    text = HEAD.replace("[zones]", 'time_zone = "Europe/Berlim"\n[zones]', 1)
    assert findings(text) == [
        '2:13: error: unknown time zone "Europe/Berlim"; did you mean "Europe/Berlin"?',
    ]


def test_text_that_is_not_toml_is_refused_with_its_place() -> None:
    assert findings("version = \n") == ["1:11: error: not TOML: invalid value"]


def test_missing_version_is_an_error() -> None:
    assert findings("") == ['1:1: error: the file has no "version"; add version = 1 at the top']


def test_note_of_a_flow_is_read() -> None:
    text = HEAD + FLOW + 'note = "why"'
    assert findings(text) == []
    assert load_policy(text, path="policy.toml", now=NOW).flows["f"].note == "why"


MISTAKES = [
    # zones
    ('[zones.x]\ncidr = ["10.9.0.0/24"]', '7:8: error: zones.x has no "transport"'),
    ('[zones.x]\ntransport = "mtls"', '7:8: error: zones.x has no "cidr"'),
    (
        '[zones.x]\ncidr = ["10.9.0.1/24"]\ntransport = "mtls"',
        '8:9: error: "10.9.0.1/24" is an address inside a range, not a range; write "10.9.0.0/24"',
    ),
    (
        '[zones.x]\ncidr = ["10.9.0.1"]\ntransport = "mtls"',
        '8:9: error: "10.9.0.1" is not a range; write it like',
    ),
    (
        '[zones.x]\ncidr = ["10.9.0/x"]\ntransport = "mtls"',
        '8:9: error: "10.9.0/x" is not a range; write it like',
    ),
    (
        '[zones.x]\ncidr = ["10.9.0.0/0.0.0.0"]\ntransport = "mtls"',
        '8:9: error: "10.9.0.0/0.0.0.0" is not a range',
    ),
    (
        '[zones.x]\ncidr = ["10.9.0.0/24"]\ntransport = "mtsl"',
        '9:13: error: "transport" has unknown "mtsl"; did you mean "mtls"?',
    ),
    (
        '[zones.x]\ncidr = ["10.0.0.0/24"]\ntransport = "mtls"',
        "8:8: error: zones m and x both take 10.0.0.0/24 over mtls",
    ),
    (
        '[zones.x]\ncidr = ["192.168.0.0/24"]\ntransport = "plain"',
        "7:8: error: zone x takes plaintext and has no review_by; add review_by = 2027-02-20",
    ),
    (
        '[zones.x]\ncidr = ["8.8.8.0/24"]\ntransport = "plain"\nreview_by = 2027-06-30',
        "8:8: error: zone x takes plaintext from 8.8.8.0/24, a public range",
    ),
    (
        '[zones.x]\ncidr = ["172.0.0.0/8"]\ntransport = "plain"\nreview_by = 2027-06-30',
        "8:8: error: zone x takes plaintext from 172.0.0.0/8, a public range",
    ),
    (
        '[zones.x]\ncidr = ["10.9.0.0/24"]\ntransport = "mtls"\nreview_by = "2027-06-30"',
        '10:13: error: "review_by" must be a date without quotes, like 2027-01-31, not a string',
    ),
    (
        '[zones.x]\ncidr = ["10.9.0.0/24"]\ntransport = "mtls"\nreview_by = 2026-11-21',
        "10:13: warning: zones.x.review_by has passed",
    ),
    (
        '[zones.x]\ncidr = ["10.9.0.0/24"]\ntransport = "mtls"\nreview_by = 2026-12-22',
        "10:13: warning: x must be reviewed in 30 days",
    ),
    (
        '[zones.archive]\ncidr = ["10.9.0.0/24"]\ntransport = "mtls"',
        '7:8: error: "archive" is a word of the language',
    ),
    (
        '[zones.x]\ncidr = []\ntransport = "mtls"',
        '8:8: warning: "cidr" is empty, so nobody comes from zone x',
    ),
    # places that chance changes of the code moved unnoticed
    (
        '[flows.f]\nfrom = ["archive"]\nto = []\ncan = ["store"]',
        '9:6: warning: "to" is empty, so flows.f permits nothing',
    ),
    (
        FLOW.replace('"store"', '"echo"') + "per_hour = 5",
        "11:12: warning: a number alone counts stores",
    ),
    (FLOW + 'newer_than = "30d"\nolder_than = "90d"', "12:14: error: no study is both"),
    (FLOW + 'only = ["label:x", "sop_class:Foo"]', "11:20: error: "),
    (FLOW + "review_by = 2026-11-21", "11:13: warning: flows.f.review_by has passed"),
    (
        '[learning.x]\nzone = "mm"\nip = "10.0.0.9"\nuntil = 2026-12-20',
        '8:8: error: unknown zone "mm"',
    ),
    # devices
    ('[devices.d]\nae = ["D"]', '7:10: error: devices.d has no "zone"'),
    ('[devices.d]\nzone = "m"', '7:10: error: devices.d has no "ae"'),
    ('[devices.d]\nzone = "mm"\nae = ["D"]', '8:8: error: unknown zone "mm"; did you mean "m"?'),
    ('[devices.d]\nzone = "m"\nae = []', "9:6: error: a device needs an AE title"),
    ('[devices.d]\nzone = "m"\nae = ["A\\\\B"]', '9:7: error: "A\\\\B": not an AE title'),
    ('[devices.d]\nzone = "p"\nae = ["D"]', "7:10: error: d is in plaintext zone p and has no ip"),
    ('[devices.d]\nzone = "p"\nae = ["D"]\nip = "10.0.1"', '10:6: error: "10.0.1" is not an IP address'),
    (
        '[devices.d]\nzone = "p"\nae = ["D"]\nip = "10.0.2.5"',
        "10:6: error: 10.0.2.5 is not in zone p: it lies in no zone of that transport",
    ),
    (
        DEVICE + 'ip = "10.0.2.5"',
        "10:6: error: 10.0.2.5 is not in zone m: it lies in r",
    ),
    (
        DEVICE + 'address = "10.0.1.5:104"',
        "10:11: error: 10.0.1.5 is not in zone m",
    ),
    (
        DEVICE + 'address = "d:104"',
        '10:11: error: "d:104": not an IP address and port',
    ),
    (
        DEVICE + 'makes = ["ct"]',
        '10:10: error: "ct" is not a modality; did you mean "CT"?',
    ),
    (
        DEVICE + 'makes = ["C T!"]',
        '10:10: error: "C T!" is not a modality; write it like CT',
    ),
    (
        '[devices.MR_1]\nzone = "m"\nae = ["D"]\n',
        "7:10: warning: no certificate of ours can name MR_1; call it with",
    ),
    (
        DEVICE + 'makes = ["CTX"]',
        '10:9: warning: "CTX" is no modality of the standard; did you mean "CT"?',
    ),
    (
        FLOW + 'only = "modality:CTX"',
        '11:8: warning: "CTX" is no modality of the standard; did you mean "CT"?',
    ),
    (
        GRANT + 'only = "modality:CTX"',
        '14:8: warning: "CTX" is no modality of the standard; did you mean "CT"?',
    ),
    (DEVICE + 'fingerprint = "ab"', '10:15: error: "ab" is not a SHA-256'),
    (
        DEVICE + "revoked = true",
        '10:11: error: "revoked" must be a date without quotes',
    ),
    ('[devices.any]\nzone = "m"\nae = ["D"]', '7:10: error: "any" is a word of the language'),
    (
        '[devices]\na = { zone = "m", ae = ["D"] }\nb = { zone = "r", ae = ["E", "D"] }',
        '9:24: error: AE title "D" belongs to a already',
    ),
    (
        TWICE_PINNED,
        "9:45: error: fingerprint 0000000000000000… belongs to a already",
    ),
    ('[devices.g]\nzone = "m"\nae = ["D"]\n[groups]\ng = []', '7:10: error: "g" is a device and a group'),
    # groups
    (
        '[groups]\ng = ["radiologist"]',
        '8:6: error: "radiologist" is neither a claim nor a device; write "role:NAME"',
    ),
    ("[groups]\nsite = []", '8:1: error: "site" is a word of the language'),
    # flows
    ('[flows.f]\nto = "archive"\ncan = ["echo"]', '7:8: error: flows.f has no "from"'),
    ('[flows.f]\nfrom = ["zone:m"]\ncan = ["echo"]', '7:8: error: flows.f has no "to"'),
    ('[flows.f]\nfrom = ["zone:m"]\nto = "archive"', '7:8: error: flows.f has no "can"'),
    (
        '[flows.f]\nfrom = ["zone:mm"]\nto = "archive"\ncan = ["echo"]',
        '8:9: error: "from" names unknown "zone:mm"; did you mean "zone:m"?',
    ),
    (
        '[flows.f]\nfrom = ["zone:m"]\nto = "archiv"\ncan = ["echo"]',
        '9:6: error: "to" names unknown "archiv"; did you mean "archive"?',
    ),
    (
        '[flows.f]\nfrom = ["zone:m"]\nto = "archive"\ncan = ["fnd"]',
        '10:8: error: "can" has unknown "fnd"; did you mean "find"?',
    ),
    (
        '[flows.f]\nfrom = ["zone:m"]\nto = "archive"\ncan = ["view"]',
        '10:8: error: "can" has unknown "view"',
    ),
    (
        '[flows.f]\nfrom = ["zone:m"]\nto = "zone:r"\ncan = ["echo"]',
        "7:8: error: a flow joins the archive to others, one way",
    ),
    (
        '[flows.f]\nfrom = ["archive", "zone:m"]\nto = "archive"\ncan = ["echo"]',
        "7:8: error: a flow joins the archive to others, one way",
    ),
    (
        '[flows.f]\nfrom = ["archive"]\nto = "zone:m"\ncan = ["find"]',
        "10:7: error: the archive itself cannot find",
    ),
    (
        '[flows.f]\nfrom = []\nto = "archive"\ncan = ["echo"]',
        '8:8: warning: "from" is empty, so flows.f permits nothing',
    ),
    (
        '[flows.f]\nfrom = ["zone:m"]\nto = "archive"\ncan = []',
        '10:7: warning: "can" is empty, so flows.f permits nothing',
    ),
    (
        FLOW + "only = []",
        '11:8: error: "only" is empty',
    ),
    (
        FLOW + 'only = "night"',
        '11:8: error: "night" is not understood; write "label:night"',
    ),
    (
        FLOW + 'only = "label:a b"',
        '11:8: error: "a b" is not a label',
    ),
    (
        FLOW + 'only = "modality:ct"',
        '11:8: error: "ct" is not a modality',
    ),
    (
        FLOW + "per_hour = 0",
        '11:12: error: "per_hour" must be from 1',
    ),
    (
        '[flows.f]\nfrom = ["zone:out"]\nto = "archive"\ncan = ["store"]',
        "7:8: error: flow f joins the archive to out, outside, and has no expires; add expires = 2026",
    ),
    (
        OUTSIDE + "review_by = 2027-06-30",
        "10:8: error: flow f joins the archive to out",
    ),
    (
        DEVICE + '[flows.f]\nfrom = ["archive"]\nto = "d"\ncan = ["store"]',
        "12:6: warning: d has no address to send to; add devices.d.address",
    ),
    (
        FLOW + "expires = 2026-11-21",
        "11:11: warning: flows.f.expires has passed",
    ),
    (
        FLOW + "review_by = 2026-11-22",
        "11:13: warning: f must be reviewed in 0 days",
    ),
    (FLOW + 'hours = "7-19"', '11:9: error: "7-19" is no span of hours; write "07:00-19:00"'),
    (FLOW + 'hours = ["07:00-19:00", "24:00-06:00"]', '11:25: error: "24:00-06:00" is no span of hours'),
    (FLOW + 'hours = "07:00-24:01"', '11:9: error: "07:00-24:01" is no span of hours'),
    (FLOW + 'hours = "07:00-07:00"', '11:9: error: "07:00-07:00" is no span of hours'),
    (FLOW + 'weekdays = ["mon", "Tue"]', '11:20: error: "Tue" is no weekday; write "mon-fri"'),
    (FLOW + 'weekdays = "mon-fry"', '11:12: error: "mon-fry" is no weekday'),
    (FLOW + "hours = 7", '11:9: error: "hours" must be a list of strings'),
    (
        FLOW.replace('["zone:m"]', '"group:scanner"') + '[groups]\nscanners = "device:d"\n' + DEVICE,
        '8:8: error: "from" names unknown "group:scanner"; did you mean "group:scanners"?',
    ),
    (DEVICE + '[groups]\ng = ["device:e"]', '11:6: error: no device is named "e"; known: d'),
    (
        DEVICE + '[groups]\ng = ["device:d", "role:r"]',
        '11:1: error: "g" holds people and devices; make two groups of it',
    ),
    (DEVICE + '[groups]\nd = ["device:d"]', '7:10: error: "d" is a device and a group'),
    (
        DEVICE + '[groups]\ng = ["device:d"]\n[flows.f]\nfrom = ["archive"]\nto = "group:g"\ncan = ["store"]',
        "14:6: warning: d has no address to send to",
    ),
    (
        OUTSIDE.replace('["d"]', '["group:g"]') + '[groups]\ng = ["device:d"]\n',
        "10:8: error: flow f joins the archive to out, outside, and has no expires",
    ),
    ('[flows."a b"]\nfrom = []', '7:8: error: bad name "a b"'),
    # grants
    (
        '[groups]\ng = ["role:g"]\n[grants.h]\nwho = "gg"\nfrom = ["r"]\non = "any"\ncan = ["view"]',
        '10:7: error: "who" names unknown "gg"; did you mean "g"?',
    ),
    (
        '[groups]\ng = ["role:g"]\n[grants.h]\nwho = "g"\nfrom = ["rr"]\non = "any"\ncan = ["view"]',
        '11:9: error: "from" names unknown "rr"; did you mean "r"?',
    ),
    (
        '[groups]\ng = ["role:g"]\n[grants.h]\nwho = "g"\nfrom = ["r"]\non = "all"\ncan = ["view"]',
        '12:6: error: "all" is not understood; write "any" alone or "assigned" or',
    ),
    (
        '[groups]\ng = ["role:g"]\n[grants.h]\nwho = "g"\nfrom = ["r"]\non = "any"\ncan = ["store"]',
        '13:8: error: "can" has unknown "store"',
    ),
    (
        GRANT + 'need = ["mfaa"]',
        '14:9: error: "need" has unknown "mfaa"; did you mean "mfa"?',
    ),
    (
        '[groups]\ng = ["role:g"]\n[grants.h]\nwho = "g"\nfrom = ["r"]\ncan = ["view"]',
        '9:9: error: grants.h has no "on"',
    ),
    (
        '[groups]\ng = ["role:g"]\n[grants.h]\nwho = []\nfrom = ["r"]\non = "any"\ncan = ["view"]',
        '10:7: warning: "who" is empty',
    ),
    (
        GRANT.replace('"r"', '"m"') + "expires = 2027-06-30",
        "11:8: warning: zone m takes no https",
    ),
    # the rest
    ("[device]", '7:2: error: unknown key "device"; did you mean "devices"?'),
    ("[tests]\nalow = []", '8:1: error: unknown key "alow"; did you mean "allow"?'),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_each_mistake_is_named_once_with_its_place(text: str, message: str) -> None:
    (found,) = findings(HEAD + text)
    assert found.startswith(message)


def test_each_mistake_is_told_in_these_words() -> None:
    """The whole of each message and its advice: a changed word must be meant."""
    several = ("[learning.x]", '[groups]\ng = ["role:g"]\n[grants.h]\n')
    told = [found for text in (*(text for text, _ in MISTAKES), *several) for found in findings(HEAD + text)]
    assert_said(told, SAID)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('[flows.f]\nfrom = "*"\nto = ["*"]\ncan = ["echo"]', ["8:8", "9:7"]),
        ('[devices.d]\nzone = "*"\nae = ["*"]\nmakes = ["*"]', ["8:8", "9:7", "10:10"]),
        ('[groups]\ng = ["role:*", "*"]', ["8:6", "8:16"]),
    ],
)
def test_wildcard_anywhere_is_refused_as_one(text: str, places: list[str]) -> None:
    found = findings(HEAD + text)
    assert [line.partition(": ")[0] for line in found] == places
    assert all("is a wildcard; no wildcards: name each one that is meant" in line for line in found)


def test_star_in_free_text_is_no_wildcard() -> None:
    device = DEVICE + 'note = "room *"\nend_of_support = 2020-01-01\n'
    assert findings(HEAD + device + 'fingerprint = []\nsite = "S"\nrevoked = 2026-01-01') == []


def test_all_mistakes_are_found_in_one_pass_in_the_order_of_the_file() -> None:
    found = findings('zones = 3\n[devices]\nd = { zone = "x", ae = ["D"] }\n[flows]\nf = {}\n')
    assert [line.partition(": ")[0] for line in found] == ["1:1", "1:9", "3:14", "5:1", "5:1", "5:1"]


def test_failed_test_names_what_was_expected_and_why_it_came_otherwise() -> None:
    text = EXAMPLE.replace('allow = ["ct1 store archive"', 'allow = ["ct1 find archive"').replace(
        '"us1 find archive", ', '"ct1 echo archive", "nobody find archive", '
    )
    checked = check_policy(text, path="policy.toml", now=NOW)
    assert checked.policy is not None
    said = [str(failure) for failure in checked.failed_tests]
    assert said[0].startswith(
        'test "ct1 find archive" expects allow: refused at verb: no flow from ct1 to the archive allows find'
    )
    assert said[0].endswith(
        'ct1-find = { from = ["ct1"], to = "archive", can = ["find"], expires = 2026-11-29 }'
    )
    assert said[1] == 'test "ct1 echo archive" expects deny: flow acquire allows it'
    assert said[2].startswith(
        'test "nobody find archive" expects deny: unknown caller "nobody"; known: archive'
    )
    assert len(said) == 3
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(text, path="policy.toml", now=NOW)
    assert isinstance(caught.value, ConfigurationInvalid)
    assert str(caught.value).startswith('policy.toml:24:10: error: test "ct1 find archive" expects allow')


def test_failed_test_without_a_fix_says_where_it_stopped() -> None:
    text = HEAD + '[tests]\nallow = ["internet echo archive"]'
    (failure,) = check_policy(text, path="policy.toml", now=NOW).failed_tests
    assert failure.why == "refused at zone: no zone holds 198.51.100.7 over plain"


def test_policy_with_errors_does_not_load() -> None:
    with pytest.raises(PolicyInvalid, match="unknown version 2"):
        load_policy("version = 2", path="policy.toml", now=NOW)


def test_more_than_1_mib_is_refused() -> None:
    assert findings("#" * (1 << 21)) == ["1:1: error: larger than 1048576 bytes"]
