"""What chance changes of the code did that no other test noticed."""

from __future__ import annotations

from dataclasses import replace

from leadglass.model.action import Action, Verb
from leadglass.model.caller import Archive, Transport
from leadglass.model.decision import Step
from leadglass.model.names import Uid
from leadglass.policy import check_policy, explain, parse_question
from leadglass.policy.condition import Asked
from leadglass.policy.conditions.sop_class import SopClass
from leadglass.policy.decide import admit, decide
from leadglass.policy.render.passages import passages_of
from leadglass.sitefile.address import parse_socket_address
from leadglass.sitefile.settings import Listener
from tests.support.policies import CT1, EXAMPLE, NOW, US1, policy


def test_device_without_a_certificate_is_told_to_send_one() -> None:
    decision = decide(policy(EXAMPLE), replace(CT1, certificate=None), Action(Verb.ECHO), NOW)
    assert decision.fix == "send the device's certificate"


def test_classes_of_a_rule_are_joined_by_or() -> None:
    condition = SopClass("flows.f.only", frozenset({Uid("1.2"), Uid("1.3")}))
    assert "1.2 or 1.3" in condition.check(Asked(Verb.STORE, NOW)).detail


def test_only_what_a_device_stores_is_its_own_before_anybody_says_so() -> None:
    rules = policy(
        'version = 1\n[zones]\nm = { cidr = ["10.0.0.0/24"], transport = "mtls" }\n'
        '[devices]\na = { zone = "m", ae = ["A"] }\n'
        '[flows]\nf = { from = ["a"], to = "archive", can = ["store", "commit"], only = "own" }\n'
    )
    assert explain(rules, parse_question("a store archive"), NOW).allowed
    assert not explain(rules, parse_question("a commit archive"), NOW).allowed


def test_rule_that_ends_soon_is_said_to_expire_and_one_to_review_to_be_due() -> None:
    dates = EXAMPLE.replace("expires = 2027-03-31", "expires = 2026-12-01").replace(
        "review_by = 2027-01-31", "review_by = 2026-12-02"
    )
    said = "\n".join(map(str, check_policy(dates, path="policy.toml", now=NOW).findings))
    assert "send-out expires in 9 days" in said
    assert "legacy must be reviewed in 10 days" in said


def test_whoever_is_watched_is_admitted_for_what_is_listed() -> None:
    line = 'mr9 = { ip = "10.20.9.9", zone = "legacy", until = 2026-12-06 }'
    watching = policy(f"{EXAMPLE}[learning]\n{line}\n")
    decision = admit(watching, replace(US1, address="10.20.9.9", calling_ae="MAGNET"), NOW).decision
    verb = next(rung for rung in decision.ladder if rung.step is Step.VERB)
    assert verb.detail == "echo, find, store, worklist"


def test_wildcard_as_ae_title_is_refused_once() -> None:
    wild = EXAMPLE.replace('ae = ["CT1"]', 'ae = ["CT*"]')
    found = [str(each) for each in check_policy(wild, path="policy.toml", now=NOW).findings]
    assert len([each for each in found if "CT*" in each]) == 1, found


def test_note_of_a_zone_is_read() -> None:
    noted = policy(EXAMPLE.replace('"plain", review_by', '"plain", note = "old", review_by'))
    assert (noted.zones["legacy"].note, noted.zones["modalities"].note) == ("old", "")


def test_store_to_where_no_dicom_goes_has_no_advice() -> None:
    rules = policy(
        'version = 1\n[zones]\nw = { cidr = ["10.0.0.0/24"], transport = "https" }\n'
        '[devices]\na = { zone = "w", ae = ["A"], address = "10.0.0.1:104" }\n'
        '[flows]\nf = { from = ["archive"], to = "a", can = ["store"] }\n'
    )
    decision = decide(rules, Archive("node1"), Action(Verb.STORE, "a"), NOW)
    assert (decision.failed is not None and decision.failed.detail) == "zone w takes no DICOM"
    assert decision.fix == ""


def test_grants_that_let_people_into_a_zone_are_listed() -> None:
    look = 'look = { who = "rads", from = ["remote"], on = "any", can = ["list"] }\n'
    two = policy(EXAMPLE.replace("[tests]", f"{look}[tests]"))
    browser = Listener("https", parse_socket_address("10.20.0.1:443"), Transport.HTTPS)
    because = {each.because for each in passages_of(two, [browser], NOW).inbound}
    assert "zone remote: people by home, look" in because


def test_zone_of_one_address_has_that_one_to_ask_from() -> None:
    rules = policy(
        'version = 1\n[zones]\nm = { cidr = ["10.0.0.7/32"], transport = "mtls" }\n'
        '[devices]\na = { zone = "m", ae = ["A"] }\n'
        '[flows]\nf = { from = ["a"], to = "archive", can = ["store"] }\n'
    )
    assert explain(rules, parse_question("a store archive"), NOW).allowed
