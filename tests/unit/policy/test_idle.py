"""Rules that permit nothing, or nothing of their own: each is named, and none that does something is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.policy import Policy, check_policy
from leadglass.policy.reach import compare
from tests.support.policies import EXAMPLE, NOW

HEAD = """version = 1
[zones]
m = { cidr = ["10.0.0.0/24"], transport = "mtls" }
r = { cidr = ["10.0.2.0/24"], transport = ["mtls", "https"] }
[devices]
a = { zone = "m", ae = ["A"], makes = ["CT"], address = "10.0.0.7:104" }
b = { zone = "m", ae = ["B"], makes = ["US"] }
c = { zone = "r", ae = ["C"], site = "S" }
old = { zone = "r", ae = ["OLD"], revoked = 2026-01-01 }
[groups]
few = ["device:a", "device:b"]
g = ["role:g"]
h = ["role:h"]
"""
EMPTY = "none = []\n"

DUMB = '[devices.dumb]\nzone = "m"\nae = ["DUMB"]\nmakes = []\naddress = "10.0.0.8:104"\n'


def warnings(text: str) -> list[str]:
    checked = check_policy(HEAD + text, path="p", now=NOW)
    assert checked.policy is not None, checked.findings
    return [str(each).partition(": warning: ")[2] for each in checked.findings]


def flows(*lines: str) -> str:
    return "[flows]\n" + "".join(f"{line}\n" for line in lines)


def flow(name: str, more: str = "", party: str = "a", can: str = '"store"') -> str:
    return f'{name} = {{ from = ["{party}"], to = "archive", can = [{can}]{more} }}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            flows(flow("f", ", hours = []")),
            '"hours" is empty, so flows.f permits nothing; fill it in, or remove the rule',
        ),
        (
            flows(flow("f", ", weekdays = []")),
            '"weekdays" is empty, so flows.f permits nothing; fill it in, or remove the rule',
        ),
        (
            EMPTY + flows(flow("f", party="group:none")),
            "nobody is in these groups, so flows.f permits nothing; put a device in, or remove it",
        ),
        (
            flows(flow("f", party="old")),
            "all its devices are revoked, so flows.f permits nothing; remove it, or let one in again",
        ),
        (
            flows('f = { from = ["archive"], to = "old", can = ["store"] }').replace("old", "old"),
            "all its devices are revoked, so flows.f permits nothing; remove it, or let one in again",
        ),
        (
            flows(flow("f", ', only = ["modality:CT", "modality:US"]')),
            'none of the devices of flows.f makes US; add "US" to makes of the device that does',
        ),
        (
            EMPTY + '[grants]\nf = { who = "none", from = "r", on = "any", can = ["view"], need = ["mfa"] }',
            "nobody is in these groups, so grants.f permits nothing; put somebody in, or remove it",
        ),
        (
            EMPTY + flows('f = { from = ["archive"], to = "group:none", can = ["store"] }'),
            "nobody is in these groups, so flows.f permits nothing; put a device in, or remove it",
        ),
        (
            flows(flow("f", party="dumb")) + DUMB,
            '"makes" of all its devices is empty, so flows.f permits nothing; fill it in, or remove the flow',
        ),
        *(
            (
                flows(flow("f", ', only = ["modality:CT", "modality:US"]', can=f'"store", "{verb}"')),
                'none of the devices of flows.f makes US; add "US" to makes of the device that does',
            )
            for verb in ("commit", "echo", "mpps", "worklist")
        ),
    ],
)
def test_rule_that_can_never_permit_anything_is_named(text: str, message: str) -> None:
    assert message in warnings(text)


@pytest.mark.parametrize(
    "text",
    [
        flows(flow("f", party="dumb", can='"store", "echo"')) + DUMB,
        flows('f = { from = ["dumb", "a"], to = "archive", can = ["store"] }') + DUMB,
        flows('f = { from = ["dumb", "c"], to = "archive", can = ["store"] }') + DUMB,
        flows(flow("f", ', only = "modality:US"', can='"commit"')),
        flows('f = { from = ["archive"], to = "dumb", can = ["store"] }') + DUMB,
        EMPTY + flows('f = { from = ["group:none", "a"], to = "archive", can = ["store"] }'),
        flows(flow("f", party="zone:r", can='"find"')),
        flows(flow("f", ', only = "modality:US"', party="c")),
        flows(flow("f", ', only = "modality:US"', can='"store", "find"')),
        flows(flow("f", ', only = "label:x"')),
        flows('f = { from = [], to = "archive", can = ["store"] }').replace("from = []", 'from = "zone:r"'),
    ],
)
def test_rule_that_may_do_something_is_not(text: str) -> None:
    assert warnings(text) == []


WEB = '[zones.w]\ncidr = ["10.0.5.0/24"]\ntransport = "https"\n'
CAME = '[devices.d]\nzone = "w"\nae = ["D"]\naddress = "10.0.5.1:104"\n'
FLOW_GIVES_NOTHING = (
    'zone w takes https alone, so flows.f gives its devices nothing; add "mtls" to w, or leave them out'
)
DEVICE_NEVER_CONNECTS = (
    "zone w takes https alone and devices speak DICOM: d can never connect; "
    'add "mtls" to w, or name another zone'
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (WEB, []),
        (WEB + CAME, [DEVICE_NEVER_CONNECTS]),
        (WEB + CAME.replace('"w"', '"r"').replace("10.0.5.1", "10.0.2.1"), []),
        (WEB + CAME + flows(flow("f", party="d")), [DEVICE_NEVER_CONNECTS, FLOW_GIVES_NOTHING]),
        (
            WEB + CAME + flows('f = { from = ["archive"], to = "d", can = ["store"] }'),
            [DEVICE_NEVER_CONNECTS, FLOW_GIVES_NOTHING],
        ),
        (WEB + flows(flow("f", party="zone:w")), [FLOW_GIVES_NOTHING]),
        (
            WEB + flows('f = { from = ["zone:w", "zone:m"], to = "archive", can = ["echo"] }'),
            [FLOW_GIVES_NOTHING],
        ),
        (
            '[zones.x]\ncidr = []\ntransport = "mtls"\n',
            ['"cidr" is empty, so nobody comes from zone x; fill in its ranges, or remove the zone'],
        ),
        (
            '[zones.x]\ncidr = ["10.0.6.0/24"]\ntransport = []\n',
            ['"transport" is empty, so nobody comes from zone x; say how they come, or remove the zone'],
        ),
        (EMPTY, ["nobody is in group none, and no rule names it; put somebody in, or remove it"]),
    ],
)
def test_zone_device_or_group_that_can_never_serve_is_named(text: str, told: list[str]) -> None:
    assert warnings(text) == told


def test_warning_of_a_flow_to_devices_stands_at_its_to() -> None:
    line = 'f = { from = ["archive"], to = "old", can = ["store"] }'
    text = HEAD + flows(line)
    (found,) = (each for each in check_policy(text, path="p", now=NOW).findings if "revoked" in each.message)
    assert (text.splitlines()[found.line - 1], found.column) == (line, line.index('"old"') + 1)


def test_warnings_of_zones_devices_and_groups_say_where() -> None:
    text = (
        HEAD + EMPTY + WEB + CAME + flows(flow("f", party="d")) + "[zones.x]\ncidr = []\ntransport = 'mtls'\n"
    )
    lines = text.splitlines()
    found = [(lines[each.line - 1], each.column) for each in check_policy(text, path="p", now=NOW).findings]
    assert found == [
        ("none = []", 8),
        ('zone = "w"', 8),
        (flow("f", party="d"), 14),
        ("cidr = []", 8),
    ]


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ("", "", True),
        (", expires = 2027-03-01", ", expires = 2027-02-01", True),
        (", expires = 2027-02-01", ", expires = 2027-03-01", False),
        (", expires = 2027-02-01", "", False),
        (", expires = 2027-03-01", ", review_by = 2027-02-01", True),
        (', weekdays = "mon-fri"', ', weekdays = "mon-tue"', True),
        (', weekdays = "mon-tue"', ', weekdays = "mon-fri"', False),
        (', hours = "07:00-19:00"', ', hours = "07:00-19:00", expires = 2027-02-01', True),
        (', hours = "07:00-19:00"', ', hours = "08:00-19:00"', False),
        (', hours = "07:00-19:00"', ', weekdays = "mon"', False),
        ("", ', only = "label:x"', True),
        (', only = "label:x"', ', only = "label:x"', True),
        (', only = "modality:CT"', ', only = "modality:CT"', True),
        (', only = "sop_class:1.2"', ', only = "sop_class:1.2"', True),
        (', newer_than = "30d"', ', newer_than = "30d"', True),
        (', older_than = "30d"', ', older_than = "30d"', True),
        (', only = "label:x"', "", False),
        (', only = ["label:x", "label:y"]', ', only = ["label:x", "modality:CT"]', True),
        (', only = "label:x"', ', only = "modality:CT"', False),
        (', only = ["modality:CT", "modality:MR"]', ', only = "modality:CT"', True),
        (', only = ["sop_class:1.2", "sop_class:1.3"]', ', only = "sop_class:1.3"', True),
        (', only = "own"', ', only = "own"', True),
        (', newer_than = "90d"', ', newer_than = "30d"', True),
        (', newer_than = "30d"', ', newer_than = "90d"', False),
        (', older_than = "30d"', ', older_than = "90d"', True),
        (', older_than = "90d"', ', older_than = "30d"', False),
        (", per_hour = 600", ", per_hour = 60", True),
        (", per_hour = 60", ", per_hour = 600", False),
        (", per_hour = 60", "", False),
        ("", ", per_hour = 60", True),
        (", per_hour = { objects = 9, patients = 5 }", ", per_hour = { objects = 9, patients = 4 }", True),
        (", per_hour = { objects = 9, patients = 4 }", ", per_hour = { objects = 9, patients = 5 }", False),
        (', show = ["StudyDate", "Modality"]', ', show = ["Modality"]', True),
        (', show = ["Modality"]', ', show = ["StudyDate"]', False),
        ("", ', show = ["StudyDate"]', True),
    ],
)
def test_rule_that_another_makes_superfluous_is_named(wide: str, narrow: str, *, is_covered: bool) -> None:
    text = flows(
        flow("narrow", narrow, can='"find", "store"'), flow("wide", wide, "zone:m", '"find", "echo", "store"')
    )
    named = "flows.narrow permits nothing that flows.wide does not permit already; remove it, or narrow wide"
    assert (named in warnings(text)) is is_covered


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ("", ', deid = "basic"', True),
        (', deid = "basic"', "", False),
        (', deid = "basic"', ', deid = "basic", show = ["StudyDate"]', True),
        (', deid = "basic", show = ["StudyDate"]', ', deid = "basic"', False),
    ],
)
def test_rule_without_identity_adds_nothing_to_one_that_lets_out_whole(
    wide: str, narrow: str, *, is_covered: bool
) -> None:
    text = flows(flow("narrow", narrow, can='"find"'), flow("wide", wide, "zone:m", '"find", "echo"'))
    named = "flows.narrow permits nothing that flows.wide does not permit already; remove it, or narrow wide"
    assert (named in warnings(text)) is is_covered


@pytest.mark.parametrize(
    ("first", "second", "covered"),
    [
        (flow("x"), flow("y"), ["y"]),
        (flow("x", party="group:few"), flow("y"), ["y"]),
        (flow("x"), flow("y", party="group:few"), ["x"]),
        (flow("x", party="b"), flow("y"), []),
        (flow("x", can='"echo"'), flow("y"), []),
        (flow("x", can=""), flow("y", can=""), []),
        (flow("x"), 'y = { from = ["archive"], to = ["a"], can = ["store"] }', []),
    ],
)
def test_of_two_rules_that_say_the_same_the_later_is_named(
    first: str, second: str, covered: list[str]
) -> None:
    told = [each for each in warnings(flows(first, second)) if "does not permit already" in each]
    assert [each.split()[0].removeprefix("flows.") for each in told] == covered


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ('on = "any", need = ["mfa"]', 'on = "any", need = ["mfa", "reason"]', True),
        ('on = "any", need = ["mfa", "reason"]', 'on = "any", need = ["mfa"]', False),
        ('on = "any"', 'on = "label:x"', True),
        ('on = "assigned"', 'on = "assigned", newer_than = "1d"', True),
        ('on = "study:1.2"', 'on = "study:1.2"', True),
        ('on = "study:1.2"', 'on = "any"', False),
    ],
)
def test_grants_are_compared_as_flows_are(wide: str, narrow: str, *, is_covered: bool) -> None:
    lines = [
        f'narrow = {{ who = "g", from = "r", can = ["view"], {narrow} }}',
        f'wide = {{ who = ["g", "h"], from = "r", can = ["view", "list"], {wide} }}',
        'other = { who = "h", from = "r", can = ["list"], on = "any", need = ["mfa"], expires = 2026-12-01 }',
    ]
    told = warnings("[grants]\n" + "\n".join(lines))
    assert (
        any(each.startswith("grants.narrow permits nothing that grants.wide") for each in told) is is_covered
    )


def both(name: str, parties: str = '"a", "b"', can: str = '"find", "get"', more: str = "") -> str:
    return f'{name} = {{ from = [{parties}], to = "archive", can = [{can}]{more} }}'


Y = both("y", '"a", "c"', '"find", "get", "echo"')
Z = both("z", '"b", "c"', '"find", "get", "worklist"')
X_BY_Y_AND_Z = "flows.x permits nothing that flows.y and flows.z together do not permit already"


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([both("x"), both("y", '"a"'), both("z", '"b"')], ["flows.y", "flows.z"]),  # each alone is covered
        ([both("x"), Y, Z.replace(" }", ", per_hour = { patients = 5 } }")], []),
        ([both("x"), Y, Z], [X_BY_Y_AND_Z]),
        ([both("x"), both("y", '"a", "c"'), both("z", '"b", "c"')], ["flows.z"]),  # any of them: the last
        ([both("x", can='"find"'), both("y", '"a", "c"'), both("z", '"b", "c"')], [X_BY_Y_AND_Z]),
        ([both("x"), both("y", can='"find", "echo"'), both("z", can='"get", "mpps"')], [X_BY_Y_AND_Z]),
        ([both("y", '"a", "c"'), both("z", '"b", "c"', '"find", "get", "echo"'), both("x")], [X_BY_Y_AND_Z]),
        ([both("x", '"group:few"'), Y, Z], [X_BY_Y_AND_Z]),
        ([both("x", '"zone:m"'), Y, Z], []),
        ([both("x"), both("y", '"a", "c"'), both("z", '"c"')], ["flows.z"]),
        ([both("x"), Y.replace(" }", ', only = "label:q" }'), Z], []),
        (
            [
                both("x", more=', only = "label:q"'),
                both("y", '"a", "c"', more=', only = ["label:q", "label:r"]'),
                both("z", '"b", "c"'),
            ],
            ["flows.x"],
        ),
        (
            [both("x", '"a", "b", "c"', '"find"'), both("y", '"a"'), both("z", '"b"'), both("w", '"c"')],
            ["flows.x"],
        ),
    ],
)
def test_rule_that_several_make_superfluous_together_is_named_with_them(
    rules: list[str], told: list[str]
) -> None:
    found = [each for each in warnings(flows(*rules)) if "not permit already" in each]
    assert len(found) == len(told), found
    assert all(each.startswith(start) for each, start in zip(found, told, strict=True)), found


def test_of_three_that_cover_a_rule_each_is_named_and_what_to_do() -> None:
    found = warnings(
        flows(both("x", '"a", "b", "c"', '"find"'), both("y", '"a"'), both("z", '"b"'), both("w", '"c"'))
    )
    told = "flows.x permits nothing that flows.y, flows.z and flows.w together do not permit already"
    assert found == [f"{told}; remove it, or narrow one of them"]


@pytest.mark.parametrize(
    ("first", "second", "is_covered"),
    [
        (
            'who = "g", from = "r", can = ["view", "list"]',
            'who = "h", from = ["r", "m"], can = ["view"]',
            True,
        ),
        ('who = "g", from = ["r", "m"], can = ["view"]', 'who = "h", from = "m", can = ["view"]', False),
        (
            'who = "g", from = ["r", "m"], can = ["view"]',
            'who = "g", from = "r", can = ["view", "list"]',
            False,
        ),
    ],
)
def test_grants_too_are_covered_by_several_together(first: str, second: str, *, is_covered: bool) -> None:
    lines = [
        'x = { who = ["g", "h"], from = "r", can = ["view"], on = "any", need = ["mfa", "reason"] }',
        f'y = {{ {first}, on = "any", need = ["mfa"] }}',
        f'z = {{ {second}, on = "any", need = ["mfa"] }}',
    ]
    named = "grants.x permits nothing that grants.y and grants.z together do not permit already"
    assert any(each.startswith(named) for each in warnings("[grants]\n" + "\n".join(lines))) is is_covered


def test_the_example_of_the_design_has_no_idle_rule() -> None:
    checked = check_policy(EXAMPLE, path="p", now=NOW)
    assert checked.findings == ()


BOUNDS = (
    *("", ", expires = 2027-02-01", ", expires = 2027-03-01", ', weekdays = "mon-fri"', ', weekdays = "mon"'),
    *(', hours = "07:00-19:00"', ', only = "label:x"', ', only = ["label:x", "label:y"]', ', only = "own"'),
    *(', newer_than = "30d"', ', newer_than = "60d"', ', show = ["StudyDate"]', ", per_hour = 5"),
)


@settings(max_examples=60)
@given(
    made=st.lists(
        st.tuples(
            st.sampled_from(("a", "b", "zone:m", "group:few", "c")),
            st.sampled_from(('"find"', '"store"', '"find", "store"')),
            st.sampled_from(BOUNDS),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_taking_all_superfluous_rules_away_changes_nothing(made: list[tuple[str, str, str]]) -> None:
    lines = {
        f"f{number}": flow(f"f{number}", more, party, can) for number, (party, can, more) in enumerate(made)
    }

    def loaded(names: list[str]) -> Policy:
        found = check_policy(HEAD + flows(*(lines[name] for name in names)), path="p", now=NOW).policy
        assert found is not None
        return found

    told = [each for each in warnings(flows(*lines.values())) if "not permit already" in each]
    named = {each.split()[0].removeprefix("flows.") for each in told}
    difference = compare(loaded(list(lines)), loaded([name for name in lines if name not in named]), NOW)
    assert (difference.opened, difference.closed) == ((), ())


@pytest.mark.parametrize(
    ("term", "last"),
    [
        ('weekdays = "mon", expires = 2026-11-22', "2026-11-22"),
        ('hours = "07:00-08:00", expires = 2026-11-22', "2026-11-22"),
        ('hours = "07:00-08:00", weekdays = "sun", review_by = 2026-11-23', "2026-11-23"),
        ('weekdays = "tue", review_by = 2026-11-23, expires = 2026-12-31', "2026-11-23"),
    ],
)
def test_rule_that_ends_before_its_hours_come_permits_nothing(term: str, last: str) -> None:
    told = f"none of the hours of flows.f comes before it ends, {last}: it permits nothing any more"
    assert f"{told}; set a later date, or remove it" in warnings(flows(flow("f", f", {term}")))


@pytest.mark.parametrize(
    "term",
    [
        'weekdays = "mon", expires = 2026-11-23',
        'weekdays = "sun", expires = 2026-11-22',
        'hours = "07:00-08:00", expires = 2026-11-23',
        'hours = "07:00-13:00", expires = 2026-11-22',
        'hours = "07:00-08:00", expires = 2026-11-21',
        "weekdays = [], expires = 2026-11-22",
        'hours = "07:00-08:00"',
        "expires = 2026-11-22",
    ],
)
def test_rule_that_has_hours_left_or_is_told_of_already_is_not_said_to_end(term: str) -> None:
    assert not [each for each in warnings(flows(flow("f", f", {term}"))) if "comes before it ends" in each]


def covered(*zones: str) -> list[str]:
    text = "version = 1\n[zones]\n" + "".join(f"{line}\n" for line in zones)
    checked = check_policy(text, path="p", now=NOW)
    assert checked.policy is not None, checked.findings
    return [str(each) for each in checked.findings if "every address" in str(each)]


HALVES = (
    'low = { cidr = ["10.0.0.0/25"], transport = "mtls" }',
    'high = { cidr = ["10.0.0.128/25"], transport = "mtls" }',
)


def test_zone_that_others_cover_wholly_is_nobody_s() -> None:
    [told] = covered('all = { cidr = ["10.0.0.0/24"], transport = "mtls" }', *HALVES)
    assert told.startswith(
        "p:3:16: warning: other zones hold every address of zone all, so nobody comes from it"
    )


@pytest.mark.parametrize(
    "zone",
    [
        'all = { cidr = ["10.0.0.0/24"], transport = ["mtls", "https"] }',
        'all = { cidr = ["10.0.0.0/24", "10.0.1.7/32"], transport = "mtls" }',
        'all = { cidr = ["10.0.0.0/23"], transport = "mtls" }',
        'all = { cidr = ["10.0.0.0/24"], transport = "https" }',
    ],
)
def test_zone_that_has_an_address_of_its_own_is_somebody_s(zone: str) -> None:
    assert covered(zone, *HALVES) == []
