"""``device learn``: what it writes, shows, asks, accepts line by line, refuses and records."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from leadglass.app import Home, local_site
from leadglass.cli.output import Exit
from leadglass.identity.clock import SystemClock
from leadglass.model.action import Verb
from leadglass.model.event import AuditEvent, Outcome
from tests.support.command_line import Ended, Leadglass, at_a_terminal
from tests.support.site import LiveSite

ADDRESS = "127.0.0.9"


@pytest.fixture
def policy(live: LiveSite) -> Path:
    return live.home / "policy.toml"


def answers(monkeypatch: pytest.MonkeyPatch, *refused: str) -> list[str]:
    """A person at the terminal who says yes, but to questions that begin like these; what they were asked."""
    asked: list[str] = []

    def confirm(text: str, **_options: object) -> bool:
        asked.append(text)
        return not text.startswith(refused)

    at_a_terminal(monkeypatch)
    monkeypatch.setattr(typer, "confirm", confirm)
    return asked


def watch(leadglass: Leadglass, live: LiveSite, *options: str) -> Ended:
    arguments = ("device", "learn", "us1", "--ip", ADDRESS, "--zone", "legacy", *options)
    return leadglass("--home", live.home, *arguments)


def learn(leadglass: Leadglass, live: LiveSite, *options: str) -> Ended:
    return leadglass("--home", live.home, "device", "learn", "us1", *options)


def event(kind: str, outcome: Outcome = Outcome.ALLOWED, **facts: Any) -> AuditEvent:
    told = {"who": "learning:us1", "address": ADDRESS, "transport": "plain", **facts}
    return AuditEvent(kind, outcome, **told)


def happened(live: LiveSite, *events: AuditEvent) -> None:
    with local_site(Home(live.home)) as site:
        for each in events:
            site.gate.record(each)


SEEN = (
    event("association.admitted", calling_ae="LOGIQ", called_ae="NORTH"),
    event("association.admitted", calling_ae="SERVICE", called_ae="NORTH"),
    event("operation.echo", verb=Verb.ECHO),
    event("operation.worklist", Outcome.DENIED, verb=Verb.WORKLIST),
    event("operation.move", Outcome.DENIED, verb=Verb.MOVE),
    event("operation.find", verb=Verb.FIND),
    event("instance.learned", Outcome.DONE, verb=Verb.STORE, modality="US", count=40),
    event("instance.learned", Outcome.DONE, verb=Verb.STORE, modality="SR"),
    event("association.refused", Outcome.DENIED, who=ADDRESS, reason="it calls OTHER"),
)


def table(policy: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(policy.read_text(encoding="utf-8"))[name]
    return found


def test_an_address_is_watched_after_the_difference_was_shown_and_the_question_answered(
    leadglass: Leadglass, live: LiveSite, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch)
    before = policy.read_text(encoding="utf-8")
    ended = watch(leadglass, live, "--for", "7d", "--reason", "a new sonograph")
    assert ended.code == Exit.OK
    assert asked == ["Put it in force?"]
    assert "+ learning:us1 store archive into quarantine" in ended.out
    last_day = (SystemClock().now() + timedelta(days=7)).date()
    assert table(policy, "learning") == {"us1": {"ip": ADDRESS, "zone": "legacy", "until": last_day}}
    assert policy.read_text(encoding="utf-8").startswith(before.rstrip())
    [line] = live.audit("device.watched")
    assert (line.event.target, line.event.reason) == ("us1", f"{ADDRESS} in zone legacy, until {last_day}")
    assert [each.event.reason.endswith("; a new sonograph") for each in live.audit("policy.applied")] == [
        True
    ]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--for", "32d"), Exit.ERROR, "more than 31 days ahead"),
        (("--for", "soon"), Exit.USAGE, "--for 'soon' is no time"),
        (("--propose",), Exit.USAGE, "give one of"),
        (("--zone", "reading"), Exit.ERROR, "is not in zone reading"),
        (("--ip", "nowhere"), Exit.ERROR, '"nowhere" is not an IP address'),
    ],
)
def test_a_line_that_the_policy_refuses_is_not_written(
    leadglass: Leadglass, live: LiveSite, policy: Path, options: tuple[str, ...], code: Exit, says: str
) -> None:
    before = policy.read_text(encoding="utf-8")
    ended = watch(leadglass, live, "--yes", *options)
    assert (ended.code, says in ended.err) == (code, True), ended.err
    assert policy.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (ADDRESS, "is in legacy and modalities: say which with --zone"),
        ("198.51.100.7", "is in no zone that takes DICOM"),
        ("x", '"x" is not an IP address'),
    ],
)
def test_the_zone_is_found_by_itself_where_there_is_but_one(
    leadglass: Leadglass, live: LiveSite, address: str, says: str
) -> None:
    ended = learn(leadglass, live, "--ip", address, "--yes")
    assert (ended.code, says in ended.err) == (Exit.ERROR, True), ended.err
    live.edit_policy('modalities = { cidr = ["127.0.0.0/8"]', 'modalities = { cidr = ["127.0.8.0/24"]')
    assert learn(leadglass, live, "--ip", ADDRESS, "--yes").code == Exit.OK


def test_a_test_of_the_policy_that_forbids_it_refuses_the_watching(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    live.edit_policy("[tests]", '[invariants]\nclosed = "no path from zone:legacy to store"\n\n[tests]')
    ended = watch(leadglass, live, "--yes")
    assert ended.code == Exit.POLICY_TESTS_FAILED
    assert "learning" not in tomllib.loads(policy.read_text(encoding="utf-8"))


def test_it_is_watched_once_and_stopped_without_a_trace_in_the_policy(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    before = policy.read_text(encoding="utf-8")
    assert learn(leadglass, live, "--stop", "--yes").code == Exit.ERROR
    watch(leadglass, live, "--yes")
    again = watch(leadglass, live, "--yes")
    assert (again.code, "is being learned already" in again.err) == (Exit.ERROR, True)
    assert learn(leadglass, live, "--stop", "--dry-run").code == Exit.OK
    assert live.audit("device.unwatched") == []
    assert learn(leadglass, live, "--stop", "--yes", "--reason", "sold").code == Exit.OK
    assert tomllib.loads(policy.read_text(encoding="utf-8")) == {**tomllib.loads(before), "learning": {}}
    assert [line.event.reason for line in live.audit("device.unwatched")] == ["sold"]


def test_the_rule_of_what_was_seen_is_accepted_line_by_line(
    leadglass: Leadglass, live: LiveSite, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(leadglass, live, "--yes")
    happened(live, *SEEN)
    asked = answers(monkeypatch, "ae = SERVICE", "makes = SR", "can = echo")
    ended = learn(leadglass, live, "--propose")
    assert ended.code == Exit.OK
    assert asked == [
        "ae = LOGIQ  (1 associations) ?",
        "ae = SERVICE  (1 associations) ?",
        "makes = US  (40 objects) ?",
        "makes = SR  (1 objects) ?",
        "can = echo  (1 times) ?",
        "can = store  (41 times) ?",
        "can = worklist  (1 times) ?",
        "per_hour = 70  (the busiest hour had 41) ?",
        "Put it in force?",
    ]
    assert table(policy, "learning") == {}
    assert table(policy, "devices")["us1"] == {
        "zone": "legacy",
        "ae": ["LOGIQ"],
        "ip": ADDRESS,
        "makes": ["US"],
    }
    assert table(policy, "flows")["us1-learned"] == {
        "from": ["us1"],
        "to": "archive",
        "can": ["store", "worklist"],
        "per_hour": 70,
    }
    assert [line.event.target for line in live.audit("device.learned")] == ["us1"]


def test_what_takes_anything_out_is_never_proposed_and_said_how_to_give_it(
    leadglass: Leadglass, live: LiveSite, policy: Path
) -> None:
    watch(leadglass, live, "--yes")
    happened(live, *SEEN)
    ended = learn(leadglass, live, "--propose", "--yes")
    assert "leadglass zones allow us1 find" in ended.err
    assert "leadglass zones allow us1 move" in ended.err
    assert "refused 1 times: it calls OTHER" in ended.err
    assert "flow old-legacy gives every device of zone legacy echo, store" in ended.err
    written = table(policy, "flows")["us1-learned"]
    assert written["can"] == ["echo", "store", "worklist"]
    assert "*" not in policy.read_text(encoding="utf-8")
    assert {"find", "get", "move"}.isdisjoint(written["can"])


def test_a_proposal_as_data_changes_nothing(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    watch(leadglass, live, "--yes")
    happened(live, *SEEN)
    before = policy.read_text(encoding="utf-8")
    shown = learn(leadglass, live, "--propose", "--json").json
    assert (shown["ip"], shown["attempts"], shown["days"]) == (ADDRESS, 48, 1)
    assert {"table": "flows", "key": "can", "value": "store", "seen": "41 times"} in shown["items"]
    dry = learn(leadglass, live, "--propose", "--dry-run")
    assert "+ us1 store archive" in dry.out
    assert policy.read_text(encoding="utf-8") == before


def test_only_what_was_seen_since_it_is_watched_counts(leadglass: Leadglass, live: LiveSite) -> None:
    watch(leadglass, live, "--yes")
    happened(live, *SEEN)
    learn(leadglass, live, "--stop", "--yes")
    watch(leadglass, live, "--yes")
    ended = learn(leadglass, live, "--propose", "--yes")
    assert (ended.code, "has tried nothing yet" in ended.err) == (Exit.FINDINGS, True)


def test_without_an_ae_title_there_is_no_device(
    leadglass: Leadglass, live: LiveSite, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(leadglass, live, "--yes")
    happened(live, *SEEN)
    answers(monkeypatch, "ae = ")
    ended = learn(leadglass, live, "--propose")
    assert (ended.code, "needs an AE title" in ended.err) == (Exit.ERROR, True)
    assert "us1" in table(policy, "learning")


def test_a_device_without_a_verb_has_no_flow_and_a_taken_name_is_not_taken_twice(
    leadglass: Leadglass, live: LiveSite, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = '{ from = [], to = "archive", can = [] }'
    live.edit_policy("[flows]", f"[flows]\nus1-learned = {flow}\nus1-learned-2 = {flow}\n#")
    watch(leadglass, live, "--yes")
    happened(live, *SEEN)
    answers(monkeypatch, "can = ")
    assert learn(leadglass, live, "--propose", "--dry-run").code == Exit.OK
    assert learn(leadglass, live, "--propose").code == Exit.OK
    assert set(table(policy, "flows")) >= {"us1-learned", "us1-learned-2"}
    assert "us1-learned-3" not in table(policy, "flows")
    leadglass("--home", live.home, "zones", "rollback", "--yes")
    assert learn(leadglass, live, "--propose", "--yes").code == Exit.OK
    assert table(policy, "flows")["us1-learned-3"]["from"] == ["us1"]


def test_over_tls_a_certificate_must_be_accepted_with_the_rest(
    leadglass: Leadglass, live: LiveSite, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leadglass("--home", live.home, "device", "learn", "us1", "--ip", ADDRESS, "--zone", "modalities", "--yes")
    happened(live, event("association.admitted", calling_ae="LOGIQ", certificate="ab" * 32), *SEEN)
    answers(monkeypatch, "fingerprint = ")
    ended = learn(leadglass, live, "--propose")
    assert (ended.code, "no certificate of us1 was accepted" in ended.err) == (Exit.ERROR, True)
    assert learn(leadglass, live, "--propose", "--yes").code == Exit.OK
    assert table(policy, "devices")["us1"]["fingerprint"] == ["ab" * 32]


def test_a_zone_outside_gets_a_rule_that_ends(leadglass: Leadglass, live: LiveSite, policy: Path) -> None:
    live.edit_policy("[zones]", '[zones]\npartner = { cidr = ["203.0.113.0/28"], transport = "mtls" }\n#')
    leadglass("--home", live.home, "device", "learn", "us1", "--ip", "203.0.113.4", "--yes")
    happened(live, *SEEN)
    assert learn(leadglass, live, "--propose", "--yes", "--json").json["applied"]
    ends = (SystemClock().now() + timedelta(days=90)).date()
    assert table(policy, "flows")["us1-learned"]["expires"] == ends


def test_what_is_kept_is_released_to_a_device_only(leadglass: Leadglass, live: LiveSite) -> None:
    watch(leadglass, live, "--yes")
    ended = learn(leadglass, live, "--release", "--yes")
    assert (ended.code, "there is no device" in ended.err) == (Exit.ERROR, True)
    none = learn(leadglass, live, "--discard", "--yes", "--json")
    assert (none.code, none.json) == (Exit.OK, {"kept": 0})
    assert "0 objects (0.0 MiB) are kept" in learn(leadglass, live, "--discard").err


@pytest.mark.parametrize("options", [(), ("--stop", "--propose"), ("--release", "--discard")])
def test_one_thing_is_asked_for_at_a_time(
    leadglass: Leadglass, live: LiveSite, options: tuple[str, ...]
) -> None:
    assert learn(leadglass, live, *options).code == Exit.USAGE
