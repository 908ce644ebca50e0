from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, PERSON_VERBS, SITE, SITE_VERBS, Action, Facts, Verb
from leadglass.model.caller import Archive, Caller, LocalAdministrator, Peer
from leadglass.model.decision import Decision, RungState, Step
from leadglass.model.permit import EVERYTHING, NOTHING, Scope, ScopeFilter
from leadglass.model.usage import Usage
from leadglass.policy.decide import admit, decide
from tests.support.policies import ALICE, CERTIFICATE, CT1, EXAMPLE, NOW, US1, WS1, policy

POLICY = policy(EXAMPLE)
ARCHIVING = Archive("node1")
ADMINISTRATOR = LocalAdministrator("root")
NIGHT = Peer(
    "203.0.113.4", CT1.transport, "dicom-tls", replace(CERTIFICATE, device="night"), "NIGHTRD", "NORTH"
)
OVERDUE = datetime(2027, 2, 1, tzinfo=UTC)
CT, US = Facts(modality="CT"), Facts(modality="US")


def ask(caller: Caller, verb: Verb, facts: Facts = CT, target: str = ARCHIVE) -> Decision:
    return decide(POLICY, caller, Action(verb, target, facts), NOW)


def failed_at(decision: Decision) -> Step:
    assert not decision.allowed
    assert decision.scope == NOTHING
    assert decision.failed is not None
    return decision.failed.step


@pytest.mark.parametrize(
    ("caller", "verb", "facts", "rule", "scope"),
    [
        (CT1, Verb.ECHO, CT, "flow acquire", NOTHING),
        (CT1, Verb.STORE, CT, "flow acquire", NOTHING),
        (US1, Verb.STORE, US, "flow old-us", NOTHING),
        (WS1, Verb.FIND, Facts(), "flow read", EVERYTHING),
        (WS1, Verb.GET, Facts(), "flow read", EVERYTHING),
        (WS1, Verb.MOVE, Facts(), "flow read", EVERYTHING),
        (ALICE, Verb.VIEW, Facts(), "grant home", EVERYTHING),
    ],
)
def test_what_a_rule_gives_is_allowed_by_its_name(
    caller: Caller, verb: Verb, facts: Facts, rule: str, scope: Scope
) -> None:
    decision = ask(caller, verb, facts)
    assert decision.allowed
    assert (decision.rule, decision.scope, decision.fix) == (rule, scope, "")
    assert [rung.step for rung in decision.ladder] == list(Step)
    assert {rung.state for rung in decision.ladder} == {RungState.PASSED}
    assert all(rung.detail for rung in decision.ladder)


def test_decision_names_device_zone_and_site() -> None:
    sited = policy(EXAMPLE.replace("ct1  = {", 'ct1  = { site = "NORTH",'))
    decision = decide(sited, CT1, Action(Verb.STORE, facts=CT), NOW)
    assert (decision.who, decision.device, decision.zone, decision.site) == (
        "ct1",
        "ct1",
        "modalities",
        "NORTH",
    )
    assert ask(ALICE, Verb.VIEW).device is None
    assert ask(replace(US1, address="10.9.9.9"), Verb.ECHO).zone is None


def test_verb_that_no_flow_gives_is_refused_with_the_narrowest_flow() -> None:
    decision = ask(US1, Verb.FIND)
    assert failed_at(decision) is Step.VERB
    assert decision.rule is None
    assert decision.fix == (
        'add "find" to a flow from "us1": [flows] us1-find = '
        '{ from = ["us1"], to = "archive", can = ["find"], expires = 2026-11-29 }'
    )


def test_fix_of_a_refused_verb_pasted_into_the_policy_permits_just_that() -> None:
    line = ask(US1, Verb.FIND).fix.partition("[flows] ")[2]
    mended = policy(EXAMPLE.replace("[flows]", f"[flows]\n{line}\n#").replace('"us1 find archive", ', ""))
    assert decide(mended, US1, Action(Verb.FIND), NOW).allowed
    assert not decide(mended, US1, Action(Verb.GET), NOW).allowed


def test_modality_a_device_does_not_make_is_refused() -> None:
    decision = ask(US1, Verb.STORE, CT)
    assert failed_at(decision) is Step.CONDITIONS
    assert (decision.rule, decision.fix) == (
        "flow old-us",
        'add "CT" to devices.us1.makes if that is really meant',
    )
    assert failed_at(ask(US1, Verb.STORE, Facts())) is Step.CONDITIONS


def test_budget_that_is_used_up_is_refused_at_the_last_rung() -> None:
    decision = ask(US1, Verb.STORE, Facts(modality="US", this_hour=Usage(objects=600)))
    assert failed_at(decision) is Step.BUDGET
    assert ask(US1, Verb.STORE, Facts(modality="US", this_hour=Usage(objects=599))).allowed
    assert ask(US1, Verb.ECHO, Facts(this_hour=Usage(objects=600))).allowed


def test_guard_is_named_and_the_rest_of_the_ladder_is_not_reached() -> None:
    decision = ask(replace(CT1, calling_ae="CT9"), Verb.STORE)
    assert decision.rule == "guard AE title"
    assert decision.fix == (
        'AE title "CT9" is not one of ct1\'s: add it to devices.ct1.ae if the device really uses it'
    )
    assert [rung.state for rung in decision.ladder] == (
        [RungState.PASSED] * 3 + [RungState.FAILED] + [RungState.NOT_REACHED] * 4
    )


def test_flow_that_can_nothing_admits_nobody() -> None:
    idle = policy(
        EXAMPLE.replace('can = ["echo", "find", "get", "move"]', "can = []").partition("[tests]")[0]
    )
    admission = admit(idle, WS1, NOW)
    assert failed_at(admission.decision) is Step.VERB
    assert admission.verbs == frozenset()


def test_zone_whose_review_is_overdue_is_closed() -> None:
    decision = decide(POLICY, US1, Action(Verb.STORE, facts=US), OVERDUE)
    assert failed_at(decision) is Step.ZONE
    assert decision.rule == "guard overdue review"
    assert decision.failed is not None
    assert decision.failed.detail == "zone legacy is closed: its review was due by 2027-01-31"
    assert decide(POLICY, US1, Action(Verb.STORE, facts=US), datetime(2027, 1, 31, 23, tzinfo=UTC)).allowed


@pytest.mark.parametrize("verb", sorted(SITE_VERBS | PERSON_VERBS))
def test_devices_are_never_given_verbs_of_people_or_of_the_site(verb: Verb) -> None:
    assert failed_at(ask(WS1, verb)) is Step.VERB
    assert failed_at(ask(WS1, verb, target=SITE)) is Step.VERB


@pytest.mark.parametrize("verb", sorted(SITE_VERBS | MACHINE_VERBS))
def test_people_are_never_given_verbs_of_machines_or_of_the_site(verb: Verb) -> None:
    assert failed_at(ask(ALICE, verb)) is Step.VERB
    assert failed_at(ask(ALICE, verb, target=SITE)) is Step.VERB


def test_devices_do_not_act_on_one_another() -> None:
    decision = ask(CT1, Verb.STORE, target="ws1\n")
    assert failed_at(decision) is Step.VERB
    assert decision.failed is not None
    assert decision.failed.detail == 'store on "ws1\\n" is never given to a device'


@pytest.mark.parametrize("verb", sorted(SITE_VERBS))
def test_local_administrator_has_the_verbs_of_the_site(verb: Verb) -> None:
    decision = ask(ADMINISTRATOR, verb, target=SITE)
    assert decision.allowed
    assert (decision.rule, decision.who, decision.scope) == ("local administrator", "root", EVERYTHING)
    assert len(decision.ladder) == len(Step)


@pytest.mark.parametrize("verb", sorted(set(Verb) - SITE_VERBS))
def test_local_administrator_has_nothing_else(verb: Verb) -> None:
    assert failed_at(ask(ADMINISTRATOR, verb, target=SITE)) is Step.VERB
    assert failed_at(ask(ADMINISTRATOR, Verb.MANAGE, target=ARCHIVE)) is Step.VERB


def test_archive_sends_only_where_a_flow_says() -> None:
    decision = ask(ARCHIVING, Verb.STORE, target="ws1")
    assert (decision.allowed, decision.rule, decision.who) == (True, "flow deliver", "archive")
    refused = ask(ARCHIVING, Verb.ECHO, target="ws1")
    assert failed_at(refused) is Step.VERB
    assert refused.fix == (
        'add "echo" to a flow from "archive" to "ws1": [flows] ws1-echo = '
        '{ from = ["archive"], to = "ws1", can = ["echo"], expires = 2026-11-29 }'
    )


def test_archive_sends_out_only_what_bears_the_label() -> None:
    assert failed_at(ask(ARCHIVING, Verb.STORE, target="night")) is Step.SCOPE
    labelled = Facts(labels=frozenset({"night"}))
    assert ask(ARCHIVING, Verb.STORE, labelled, target="night").allowed
    expired = decide(
        POLICY, ARCHIVING, Action(Verb.STORE, "night", labelled), datetime(2027, 4, 1, tzinfo=UTC)
    )
    assert failed_at(expired) is Step.CONDITIONS
    assert expired.fix == "set a later date in flows.send-out.expires if it is still needed"


@pytest.mark.parametrize(
    ("target", "rule", "step", "fix"),
    [
        ("nigth", "guard unknown device", Step.ZONE, 'did you mean "night"?'),
        ("qqq", "guard unknown device", Step.ZONE, ""),
        (
            "us1",
            "guard overdue review",
            Step.ZONE,
            "review it, then set the next date in zones.legacy.review_by",
        ),
        ("ct1", "guard no address", Step.DEVICE, "say where it listens: devices.ct1.address"),
    ],
)
def test_archive_is_held_by_guards_too(target: str, rule: str, step: Step, fix: str) -> None:
    decision = decide(POLICY, ARCHIVING, Action(Verb.STORE, target, US), OVERDUE)
    assert (decision.rule, failed_at(decision), decision.fix) == (rule, step, fix)


def test_archive_does_not_send_to_revoked_devices_nor_where_no_dicom_is_taken() -> None:
    other = policy(
        """
        version = 1
        [zones]
        m = { cidr = ["10.0.0.0/24"], transport = "mtls" }
        h = { cidr = ["10.0.1.0/24"], transport = "https" }
        p = { cidr = ["10.0.2.0/24"], transport = "plain", review_by = 2027-06-30 }
        [devices]
        a = { zone = "m", ae = ["A"], address = "10.0.0.1:104", revoked = 2026-01-01 }
        b = { zone = "h", ae = ["B"], address = "10.0.1.1:104" }
        c = { zone = "p", ae = ["C"], ip = "10.0.2.1", address = "10.0.2.1:104" }
        [flows]
        all = { from = ["archive"], to = ["zone:m", "zone:h", "c"], can = ["store"] }
        """
    )
    rules = {name: decide(other, ARCHIVING, Action(Verb.STORE, name), NOW).rule for name in "abc"}
    assert rules == {"a": "guard revoked", "b": "guard transport", "c": "flow all"}
    assert failed_at(decide(other, ARCHIVING, Action(Verb.FIND, "c"), NOW)) is Step.VERB


SCOPED = """
version = 1
[zones]
m = { cidr = ["10.20.1.0/24"], transport = "mtls" }
[devices]
ct1 = { zone = "m", ae = ["CT1"] }
[flows]
"""


def test_scope_of_a_search_is_the_union_of_the_rules_that_carry() -> None:
    scoped = policy(
        SCOPED
        + """
        a.from = ["ct1"]
        a.to = "archive"
        a.can = ["find"]
        a.only = ["label:night", "label:day", "modality:CT"]
        b = { from = ["zone:m"], to = "archive", can = ["find"], only = "modality:MR" }
        c = { from = ["ct1"], to = "archive", can = ["find"], expires = 2026-01-01 }
        """
    )
    decision = decide(scoped, CT1, Action(Verb.FIND), NOW)
    assert decision.rule == "flow a, flow b"
    assert decision.scope == Scope(
        (
            ScopeFilter(frozenset({"night", "day"}), frozenset({"CT"})),
            ScopeFilter(None, frozenset({"MR"})),
        )
    )
    assert decision.ladder[5].detail == "only label day or night, modality CT or only modality MR"


def test_one_rule_without_only_opens_the_whole_scope() -> None:
    scoped = policy(
        SCOPED
        + """
        a = { from = ["ct1"], to = "archive", can = ["find"], only = "label:night" }
        b = { from = ["ct1"], to = "archive", can = ["find"] }
        """
    )
    decision = decide(scoped, CT1, Action(Verb.FIND), NOW)
    assert (decision.rule, decision.scope) == ("flow b", EVERYTHING)


def test_only_is_checked_against_the_facts_of_one_object_and_not_of_an_echo() -> None:
    scoped = policy(
        SCOPED + 'a = { from = ["ct1"], to = "archive", can = ["store", "echo"], only = "modality:CT" }'
    )
    assert decide(scoped, CT1, Action(Verb.STORE, facts=CT), NOW).allowed
    assert failed_at(decide(scoped, CT1, Action(Verb.STORE, facts=US), NOW)) is Step.SCOPE
    assert failed_at(decide(scoped, CT1, Action(Verb.STORE), NOW)) is Step.SCOPE
    assert decide(scoped, CT1, Action(Verb.ECHO), NOW).allowed


def test_refusal_is_told_by_the_rule_that_came_furthest() -> None:
    scoped = policy(
        SCOPED
        + """
        a = { from = ["ct1"], to = "archive", can = ["store"], only = "modality:MR" }
        b = { from = ["ct1"], to = "archive", can = ["store"], per_hour = 1 }
        c = { from = ["ct1"], to = "archive", can = ["store"], expires = 2026-01-01 }
        """
    )
    decision = decide(
        scoped, CT1, Action(Verb.STORE, facts=Facts(modality="CT", this_hour=Usage(objects=1))), NOW
    )
    assert (decision.rule, failed_at(decision)) == ("flow b", Step.BUDGET)


def test_person_without_a_grant_is_told_which() -> None:
    by_browser = policy(
        EXAMPLE[: EXAMPLE.index("[tests]")].replace(
            '1.0/24"], transport = "mtls"', '1.0/24"], transport = "https"'
        )
    )
    refused = decide(by_browser, replace(ALICE, address="10.20.1.9"), Action(Verb.VIEW), NOW)
    assert failed_at(refused) is Step.VERB
    assert refused.fix == (
        'add "view" to a grant for "rads": [grants] rads-view = { who = "rads", from = ["modalities"], '
        'on = "any", can = ["view"], need = ["mfa"], expires = 2026-11-29 }'
    )
    assert ask(replace(ALICE, roles=frozenset()), Verb.VIEW).fix == (
        "give the person a role that a group of the policy names"
    )


def test_grant_that_needs_a_second_factor_refuses_without() -> None:
    decision = ask(replace(ALICE, mfa=False), Verb.VIEW)
    assert (failed_at(decision), decision.rule) == (Step.CONDITIONS, "grant home")


def test_admission_gives_the_verbs_of_living_flows() -> None:
    admission = admit(POLICY, WS1, NOW)
    assert admission.verbs == {Verb.ECHO, Verb.FIND, Verb.GET, Verb.MOVE}
    assert (admission.decision.allowed, admission.decision.rule) == (True, "flow read")
    assert [rung.state for rung in admission.decision.ladder] == (
        [RungState.PASSED] * 5 + [RungState.NOT_REACHED] * 3
    )
    assert admission.decision.ladder[4].detail == "echo, find, get, move"


def test_device_without_a_flow_is_not_admitted() -> None:
    admission = admit(POLICY, NIGHT, NOW)
    assert admission.verbs == frozenset()
    assert failed_at(admission.decision) is Step.VERB
    assert admission.decision.fix.startswith('add "echo" to a flow from "night"')


def test_stranger_is_not_admitted() -> None:
    admission = admit(POLICY, replace(US1, address="10.9.9.9"), NOW)
    assert (admission.verbs, admission.decision.rule) == (frozenset(), "guard unknown zone")


def test_device_of_an_overdue_zone_is_not_admitted() -> None:
    admission = admit(POLICY, US1, OVERDUE)
    assert (admission.verbs, admission.decision.rule) == (frozenset(), "guard overdue review")


def test_device_whose_flows_have_ended_is_not_admitted() -> None:
    ended = policy(
        SCOPED
        + """
        a = { from = ["ct1"], to = "archive", can = ["find"], expires = 2026-01-01 }
        b = { from = ["ct1"], to = "archive", can = ["get"], review_by = 2026-12-24 }
        """
    )
    assert admit(ended, CT1, NOW).verbs == {Verb.GET}
    admission = admit(ended, CT1, OVERDUE)
    assert admission.verbs == frozenset()
    assert admission.decision.rule == "flow a"
    assert admission.decision.fix == "set a later date in flows.a.expires if it is still needed"


def test_empty_policy_refuses_everybody_everything() -> None:
    empty = policy("version = 1")
    callers: tuple[Caller, ...] = (CT1, WS1, US1, ALICE, ARCHIVING)
    for caller in callers:
        for verb in Verb:
            for target in (ARCHIVE, SITE, "ws1"):
                assert not decide(empty, caller, Action(verb, target), NOW).allowed


@given(
    address=st.ip_addresses().map(str) | st.text(max_size=20),
    title=st.none() | st.text(max_size=20),
    called=st.text(max_size=20),
    verb=st.sampled_from(Verb),
    modality=st.none() | st.text(max_size=8),
)
def test_no_peer_brings_a_control_character_into_the_ladder_and_all_rungs_are_there(
    address: str, title: str | None, called: str, verb: Verb, modality: str | None
) -> None:
    for base in (CT1, US1):
        peer = replace(base, calling_ae=title, called_ae=called, called_ae_known=False)
        for asking in (peer, replace(peer, address=address)):
            decision = decide(POLICY, asking, Action(verb, facts=Facts(modality=modality)), NOW)
            assert not decision.allowed
            assert [rung.step for rung in decision.ladder] == list(Step)
            text = decision.who + decision.fix + "".join(rung.detail for rung in decision.ladder)
            assert text.isprintable()
