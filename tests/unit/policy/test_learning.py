"""An address that is watched before it has a rule: what it may, what it never may, and who it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leadglass.model.action import MACHINE_VERBS, PERSON_VERBS, SITE_VERBS, Action, Facts, Verb
from leadglass.model.caller import CertificateFacts, Peer, Transport
from leadglass.model.decision import Decision, RungState, Step
from leadglass.model.permit import NOTHING, Keeping
from leadglass.policy import QuestionInvalid, check_policy, explain, parse_question
from leadglass.policy.decide import admit, decide
from leadglass.policy.explain import explain_store
from leadglass.policy.identify import identify, watched_at
from leadglass.policy.invariant import parse_invariant, prove
from leadglass.policy.narrowest import AllowedAlready, NoRuleHelps, narrowest_rule
from leadglass.policy.network import parse_address
from leadglass.policy.policy import Policy
from leadglass.policy.reach import compare, reach
from tests.support.policies import EXAMPLE, NOW, US1, policy

LINE = 'mr9 = { ip = "10.20.9.9", zone = "legacy", until = 2026-12-06 }'
WATCHING = f"{EXAMPLE}[learning]\n{LINE}\n"
POLICY = policy(WATCHING)
STRANGER = replace(US1, address="10.20.9.9", calling_ae="MAGNET")
ENDED = datetime(2026, 12, 7, tzinfo=UTC)
FOREIGN = CertificateFacts("ab" * 32, 9, "CN=foreign", issued_here=False, device="mr9", not_after=NOW)
OVER_TLS = policy(WATCHING.replace('"10.20.9.9", zone = "legacy"', '"10.20.1.9", zone = "modalities"'))
CALLER = Peer("10.20.1.9", Transport.MTLS, "dicom-tls", FOREIGN, "MAGNET", "NORTH")

TRUTH = {
    Verb.ECHO: "nothing",
    Verb.STORE: "into quarantine",
    Verb.FIND: "nothing",
    Verb.WORKLIST: "nothing",
    Verb.GET: None,
    Verb.MOVE: None,
    Verb.MPPS: None,
    Verb.COMMIT: None,
}


def ask(verb: Verb, peer: Peer = STRANGER, by: Policy = POLICY, now: datetime = NOW) -> Decision:
    return decide(by, peer, Action(verb, facts=Facts(modality="MR")), now)


def refused(decision: Decision) -> tuple[Step, str, str]:
    assert not decision.allowed
    assert decision.scope == NOTHING
    assert decision.failed is not None
    return decision.failed.step, decision.failed.detail, decision.who


def test_every_verb_of_a_machine_has_its_row() -> None:
    assert TRUTH.keys() == MACHINE_VERBS


@pytest.mark.parametrize(("verb", "comes_of_it"), TRUTH.items())
def test_what_may_be_tried_comes_to_nothing_and_what_takes_anything_out_is_refused(
    verb: Verb, comes_of_it: str | None
) -> None:
    decision = ask(verb)
    assert (decision.who, decision.zone, decision.device) == ("learning:mr9", "legacy", None)
    assert (decision.rule, decision.scope, decision.fix) == ("learning mr9", NOTHING, "")
    if comes_of_it is None:
        assert refused(decision)[0] is Step.VERB
        return
    assert decision.allowed
    assert decision.keeping is Keeping.APART
    assert [rung.step for rung in decision.ladder] == list(Step)
    assert {rung.state for rung in decision.ladder} == {RungState.PASSED}
    assert decision.ladder[5].detail == comes_of_it


@pytest.mark.parametrize("verb", sorted(PERSON_VERBS | SITE_VERBS))
def test_what_is_for_people_and_for_the_site_is_not_for_what_is_being_learned(verb: Verb) -> None:
    assert refused(ask(verb))[0] is Step.VERB
    assert not decide(POLICY, STRANGER, Action(Verb.STORE, "ws1"), NOW).allowed


def test_a_device_with_a_rule_stores_as_ever() -> None:
    decision = decide(POLICY, US1, Action(Verb.STORE, facts=Facts(modality="US")), NOW)
    assert (decision.allowed, decision.keeping, decision.who) == (True, Keeping.SERVED, "us1")


def test_whoever_calls_from_the_address_is_admitted_to_what_may_be_tried() -> None:
    admission = admit(POLICY, STRANGER, NOW)
    assert admission.decision.allowed
    assert admission.decision.rule == "learning mr9"
    assert admission.verbs == {Verb.ECHO, Verb.STORE, Verb.FIND, Verb.WORKLIST}


@pytest.mark.parametrize(
    ("peer", "step", "detail", "who"),
    [
        (
            replace(STRANGER, address="10.20.9.8"),
            Step.DEVICE,
            'no device is AE title "MAGNET" at 10.20.9.8',
            "10.20.9.8",
        ),
        (
            replace(STRANGER, calling_ae="LOGIQ"),
            Step.DEVICE,
            'AE title "LOGIQ" is us1\'s, which is pinned to 10.20.9.5, not 10.20.9.9',
            "10.20.9.9",
        ),
        (
            replace(STRANGER, calling_ae=None),
            Step.DEVICE,
            "no calling AE title was given",
            "10.20.9.9",
        ),
        (
            replace(STRANGER, called_ae="OTHER", called_ae_known=False),
            Step.DEVICE,
            'it calls "OTHER", which is not the archive\'s AE title',
            "learning:mr9",
        ),
        (
            replace(STRANGER, transport=Transport.MTLS),
            Step.TRANSPORT,
            "zone legacy takes plain, not mtls",
            "10.20.9.9",
        ),
    ],
)
def test_guards_hold_for_what_is_being_learned(peer: Peer, step: Step, detail: str, who: str) -> None:
    assert refused(ask(Verb.ECHO, peer)) == (step, detail, who)
    assert refused(admit(POLICY, peer, NOW).decision) == (step, detail, who)


def test_after_its_last_day_it_is_a_stranger_again() -> None:
    assert ask(Verb.STORE, now=ENDED - timedelta(seconds=1)).allowed
    decision = ask(Verb.STORE, now=ENDED)
    detail = "no device is there, and learning mr9 ended after 2026-12-06"
    assert refused(decision) == (Step.DEVICE, detail, "learning:mr9")
    assert decision.fix == "see what it wanted: leadglass device learn mr9 --propose"
    assert admit(POLICY, STRANGER, ENDED).verbs == frozenset()


def test_an_overdue_review_closes_the_zone_to_it_as_well() -> None:
    overdue = datetime(2027, 2, 1, tzinfo=UTC)
    longer = policy(WATCHING.replace("2027-01-31", "2026-11-30"))
    assert refused(ask(Verb.ECHO, by=longer, now=datetime(2026, 12, 1, tzinfo=UTC)))[0] is Step.ZONE
    assert refused(ask(Verb.ECHO, now=overdue))[0] is Step.ZONE


@pytest.mark.parametrize(
    ("certificate", "detail"),
    [
        (
            FOREIGN,
            f"learning:mr9, by its address, with a foreign certificate: sha256 {'ab' * 32}",
        ),
        (replace(FOREIGN, issued_here=True), "learning:mr9, by its address and its certificate"),
    ],
)
def test_over_tls_a_strangers_certificate_is_remembered_and_ours_must_name_it(
    certificate: CertificateFacts, detail: str
) -> None:
    identity = identify(OVER_TLS, replace(CALLER, certificate=certificate))
    assert identity.is_known
    assert (identity.device, identity.who) == (None, "learning:mr9")
    assert identity.rungs[-1].detail == detail


@pytest.mark.parametrize(
    ("peer", "who"),
    [
        (replace(CALLER, certificate=None), "10.20.1.9"),
        (replace(CALLER, certificate=replace(FOREIGN, trouble="expired")), "10.20.1.9"),
        (replace(CALLER, certificate=replace(FOREIGN, issued_here=True, device="mr8")), "10.20.1.9"),
        (replace(CALLER, address="10.20.1.8"), "10.20.1.8"),
        (replace(CALLER, calling_ae=None), "learning:mr9"),
        (replace(CALLER, calling_ae="CT1"), "learning:mr9"),
        (replace(CALLER, called_ae_known=False), "learning:mr9"),
    ],
)
def test_over_tls_nobody_is_learned_who_is_refused_or_somebody_else(peer: Peer, who: str) -> None:
    assert refused(ask(Verb.STORE, peer, OVER_TLS)) == (
        Step.DEVICE,
        ask(Verb.STORE, peer, OVER_TLS).ladder[3].detail,
        who,
    )


def test_a_device_that_calls_from_a_watched_address_is_that_device() -> None:
    ours = replace(FOREIGN, issued_here=True, device="ct1")
    identity = identify(OVER_TLS, replace(CALLER, certificate=ours, calling_ae="CT1"))
    assert identity.device is OVER_TLS.devices["ct1"]
    assert identity.learning is None


@pytest.mark.parametrize(
    ("address", "transport", "now", "watched"),
    [
        ("10.20.9.9", Transport.PLAIN, NOW, True),
        ("10.20.9.9", Transport.MTLS, NOW, False),
        ("10.20.9.9", Transport.HTTPS, NOW, False),  # in remote, by https
        ("10.20.9.8", Transport.PLAIN, NOW, False),
        ("10.20.9.9", Transport.PLAIN, ENDED, False),
    ],
)
def test_an_address_is_watched_in_its_zone_until_its_day(
    address: str, transport: Transport, now: datetime, *, watched: bool
) -> None:
    found = watched_at(POLICY, parse_address(address), transport, now)
    assert (found is not None) is watched


def test_watching_ends_in_a_zone_without_a_review_too() -> None:
    assert OVER_TLS.zones["modalities"].review is None
    assert admit(OVER_TLS, CALLER, NOW).decision.allowed
    step, detail, _ = refused(admit(OVER_TLS, CALLER, ENDED).decision)
    assert (step, detail) == (
        Step.DEVICE,
        "no device is there, and learning mr9 ended after 2026-12-06",
    )


def test_the_longest_prefix_decides_where_a_watched_address_is() -> None:
    covered = WATCHING.replace(
        "[devices]", 'deep = { cidr = ["10.20.9.9/32"], transport = "mtls" }\n[devices]', 1
    )
    assert policy(covered).learning["mr9"].zone == "legacy"  # mtls covers no plaintext
    covered = covered.replace('transport = "mtls" }\n[devices]', 'transport = "plain" }\n[devices]', 1)
    assert any("10.20.9.9 is not in zone legacy: it lies in deep" in each for each in findings(covered))


# How the line must be written.


def findings(text: str) -> list[str]:
    checked = check_policy(text, path="policy.toml", now=NOW)
    return [str(finding).removeprefix("policy.toml:") for finding in checked.findings]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mr9 = { }", 'learning.mr9 has no "ip"'),
        ('mr9 = { ip = "10.20.9.9", zone = "legacy" }', 'has no "until"'),
        ('mr9 = { ip = "10.20.9.9", until = 2026-12-06 }', 'has no "zone"'),
        (LINE.replace("10.20.9.9", "here"), '"here" is not an IP address'),
        (LINE.replace("10.20.9.9", "10.20.9.0/28"), '"10.20.9.0/28" is not an IP address'),
        (LINE.replace("legacy", "legcy"), 'unknown zone "legcy"; did you mean "legacy"?'),
        (LINE.replace("legacy", "*"), "is a wildcard"),
        (LINE.replace("legacy", "remote"), "zone remote takes no DICOM"),
        (LINE.replace("10.20.9.9", "10.20.1.9"), "10.20.1.9 is not in zone legacy"),
        (LINE.replace("10.20.9.9", "198.51.100.7"), "198.51.100.7 is not in zone legacy"),
        (LINE.replace("10.20.9.9", "10.20.9.5"), "10.20.9.5 belongs to us1 already"),
        (f"mr8{LINE[3:]}\n{LINE}", "10.20.9.9 belongs to mr8 already"),
        (f"us1{LINE[3:]}", '"us1" is a device already'),
        (f"rads{LINE[3:]}", '"rads" is a group already'),
        (f"site{LINE[3:]}", '"site" is a word of the language'),
        (LINE.replace("2026-12-06", "2026-12-24"), "until 2026-12-24 is more than 31 days ahead"),
        (LINE.replace("until", "untill"), 'unknown key "untill"'),
    ],
)
def test_a_line_that_is_too_wide_too_long_or_unclear_is_an_error(line: str, message: str) -> None:
    text = f"{EXAMPLE}[learning]\n{line}\n"
    assert check_policy(text, path="policy.toml", now=NOW).policy is None
    assert any(message in finding and ": error: " in finding for finding in findings(text)), findings(text)


def test_a_group_of_devices_has_its_name_to_itself() -> None:
    text = WATCHING.replace("[flows]", 'mr9 = ["device:us1"]\n[flows]', 1)
    assert any('"mr9" is a group already' in finding for finding in findings(text))


def test_the_furthest_day_is_good_and_one_that_has_passed_is_told() -> None:
    assert findings(WATCHING.replace("2026-12-06", "2026-12-23")) == []
    [passed] = findings(WATCHING.replace("2026-12-06", "2026-11-21"))
    assert passed.endswith(
        ": warning: mr9 is watched no longer: until 2026-11-21 has passed;"
        " leadglass device learn mr9 --propose, or --stop"
    )


# What questions, comparisons and proofs say of it.


@pytest.mark.parametrize(
    ("question", "allowed"),
    [
        ("learning:mr9 store archive", True),
        ("learning:mr9 find", True),
        ("learning:mr9 move", False),
        ("learning:mr9 store archive ip=10.20.9.8", False),
        ("learning:mr9 store archive from=modalities", False),
        ("learning:mr9 store archive transport=mtls", False),
        ("learning:mr9 store archive ae=LOGIQ", False),
        ("learning:mr9 store archive at=2026-12-07T00:00Z", False),
    ],
)
def test_questions_about_it_are_answered(question: str, *, allowed: bool) -> None:
    assert explain(POLICY, parse_question(question), NOW).allowed is allowed


def test_over_tls_the_question_is_about_a_certificate_that_nobody_knows() -> None:
    decision = explain(OVER_TLS, parse_question("learning:mr9 store"), NOW)
    assert decision.allowed
    assert "with a foreign certificate" in decision.ladder[3].detail


@pytest.mark.parametrize("subject", ["mr9", "learning:mr8", "learning:"])
def test_nobody_else_is_called_that(subject: str) -> None:
    with pytest.raises(QuestionInvalid, match="unknown caller"):
        explain(POLICY, parse_question(f"{subject} echo"), NOW)


def test_a_policys_tests_may_name_it() -> None:
    kept = WATCHING.replace("deny  = [", 'deny  = ["learning:mr9 get", ')
    assert check_policy(kept, path="policy.toml", now=NOW).failed_tests == ()
    broken = WATCHING.replace("deny  = [", 'deny  = ["learning:mr9 store", ')
    assert check_policy(broken, path="policy.toml", now=NOW).failed_tests


def test_a_comparison_shows_it_as_a_path_into_quarantine_that_ends() -> None:
    difference = compare(policy(EXAMPLE), POLICY, NOW)
    assert [str(each) for each in difference.opened] == [
        f"learning:mr9 echo archive {HOW}",
        f"learning:mr9 store archive into quarantine, {HOW}",
        f"learning:mr9 worklist archive {HOW}",
    ]
    assert difference.closed == ()
    assert [str(each) for each in compare(POLICY, policy(EXAMPLE), NOW).closed] == [
        str(each) for each in difference.opened
    ]


HOW = "transport=plain, ip=10.20.9.9, before 2026-12-07T00:00Z"


def test_reach_shows_it_and_no_search() -> None:
    found = [str(each) for each in reach(POLICY, NOW) if each.subject == "learning:mr9"]
    assert found == [
        "learning:mr9 echo archive before 2026-12-07T00:00Z",
        "learning:mr9 store archive into quarantine, before 2026-12-07T00:00Z",
        "learning:mr9 worklist archive before 2026-12-07T00:00Z",
    ]


@pytest.mark.parametrize(
    ("invariant", "holds"),
    [
        ("no path from zone:legacy to find", True),
        ("no path from learning:mr9 to get", True),
        ("no path from learning:mr9 to store", False),
        ("no path from internet to studies", True),
    ],
)
def test_invariants_are_proved_over_it(invariant: str, *, holds: bool) -> None:
    assert prove(POLICY, parse_invariant(invariant, POLICY), NOW).holds is holds


def test_a_zone_that_is_the_watched_address_alone_holds_no_stranger() -> None:
    zone = '{ cidr = ["10.20.9.9/32"], transport = "plain", review_by = 2027-01-31 }'
    alone = policy(
        f'version = 1\n[zones]\nnowhere = {{ cidr = [], transport = "mtls" }}\nz = {zone}\n'
        f"[learning]\n{LINE.replace('legacy', 'z')}\n"
    )
    assert prove(alone, parse_invariant("no path from internet to studies", alone), NOW).holds
    assert not prove(alone, parse_invariant("no path from zone:z to store", alone), NOW).holds


@pytest.mark.parametrize(
    ("facts", "allowed"), [(Facts(modality="US"), True), (Facts(modality="CT"), False), (Facts(), False)]
)
def test_of_what_was_kept_a_device_gets_what_it_could_store_now(facts: Facts, *, allowed: bool) -> None:
    assert explain_store(POLICY, "us1", facts, NOW).allowed is allowed


def test_no_rule_is_written_for_it_by_name() -> None:
    with pytest.raises(NoRuleHelps, match="accept a rule for it first"):
        narrowest_rule(POLICY, parse_question("learning:mr9 get"), NOW)
    with pytest.raises(AllowedAlready):
        narrowest_rule(POLICY, parse_question("learning:mr9 find"), NOW)
