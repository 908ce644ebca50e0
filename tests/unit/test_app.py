"""The composition root: a site is opened whole, closed in order, and its policy read as it should be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadglass.app import (
    Home,
    _client_tls,
    build_server,
    changed_policy,
    local_site,
    open_site,
    read_site_policy,
    read_site_settings,
    standing_policy,
)
from leadglass.audit.read import Filters
from leadglass.identity.clock import SystemClock
from leadglass.model.action import Verb
from leadglass.model.errors import AuditFailed, ConfigurationInvalid, KeyUnavailable, NotPermitted
from leadglass.model.event import AuditEvent, Outcome
from leadglass.policy import Expectation, PolicyInvalid, load_policy
from leadglass.use_cases import checker_of, trail_of
from tests.support.admin_desk import HandClock
from tests.support.net_rig import run
from tests.support.site import LiveSite, make_site

FLOWS = """
version = 1
[zones]
modalities = { cidr = ["127.0.0.0/8"], transport = "mtls" }
legacy = { cidr = ["127.0.0.0/8"], transport = "plain", review_by = 2027-06-30 }
[devices]
ct1 = { zone = "modalities", ae = ["CT1"], address = "127.0.0.1:4242" }
us1 = { zone = "legacy", ae = ["US1"], ip = "127.0.0.1", address = "127.0.0.1:4243" }
[flows]
acquire = { from = ["ct1"], to = "archive", can = ["echo", "store"], expires = 2027-01-31 }
[tests]
"""
ALLOW = 'allow = ["ct1 store archive"]\n'
DENY = 'deny = ["us1 store archive"]\n'
WRONG_DENY = 'deny = ["ct1 echo archive"]\n'
BEFORE = HandClock(datetime(2026, 12, 1, tzinfo=UTC))
AFTER = HandClock(datetime(2027, 3, 1, tzinfo=UTC))


@pytest.fixture
def live(tmp_path: Path) -> LiveSite:
    return make_site(tmp_path)


@pytest.fixture
def home(live: LiveSite) -> Home:
    return Home(live.home)


def with_policy(home: Home, text: str) -> Home:
    home.policy.write_text(text, encoding="utf-8")
    return home


class TestPolicy:
    def test_a_policy_whose_tests_pass_is_read_by_both(self, home: Home) -> None:
        with_policy(home, FLOWS + ALLOW + DENY)
        assert read_site_policy(home, BEFORE).devices.keys() == {"ct1", "us1"}
        policy, failed = standing_policy(home, BEFORE)
        assert policy.devices.keys() == {"ct1", "us1"}
        assert failed == ()

    def test_a_date_that_has_passed_keeps_no_server_down_but_makes_no_change(self, home: Home) -> None:
        with_policy(home, FLOWS + ALLOW + DENY)
        policy, failed = standing_policy(home, AFTER)
        assert policy.flows.keys() == {"acquire"}
        assert [(test.text, test.expects) for test in failed] == [("ct1 store archive", Expectation.ALLOW)]
        with pytest.raises(PolicyInvalid):
            read_site_policy(home, AFTER)

    def test_a_change_is_not_refused_for_a_test_that_failed_before_it(self, home: Home) -> None:
        standing, _ = standing_policy(with_policy(home, FLOWS + ALLOW + DENY), AFTER)
        with_policy(home, FLOWS.replace('ae = ["CT1"]', 'ae = ["CT1", "CT1B"]') + ALLOW + DENY)
        policy, failed = changed_policy(home, AFTER, standing)
        assert policy.devices["ct1"].ae == ("CT1", "CT1B")
        assert [test.text for test in failed] == ["ct1 store archive"]

    def test_a_change_that_breaks_a_test_is_refused(self, home: Home) -> None:
        standing, _ = standing_policy(with_policy(home, FLOWS + ALLOW + DENY), BEFORE)
        for text in (FLOWS.replace('"store"', '"echo"') + ALLOW, FLOWS + WRONG_DENY, FLOWS + "7\n"):
            with_policy(home, text)
            with pytest.raises(ConfigurationInvalid):
                changed_policy(home, BEFORE, standing)

    def test_a_policy_that_lets_in_what_it_should_not_is_refused(self, home: Home) -> None:
        for text in (FLOWS + WRONG_DENY, FLOWS + ALLOW + WRONG_DENY):
            with_policy(home, text)
            with pytest.raises(PolicyInvalid):
                standing_policy(home, BEFORE)

    def test_a_test_that_is_no_question_is_refused(self, home: Home) -> None:
        with_policy(home, FLOWS + 'allow = ["nobody stores anything"]\n')
        with pytest.raises(PolicyInvalid):
            standing_policy(home, BEFORE)

    def test_a_policy_with_errors_is_refused(self, home: Home) -> None:
        with_policy(home, "version = 1\n[zones]\nx = { cidr = 7 }\n")
        with pytest.raises(PolicyInvalid):
            standing_policy(home, BEFORE)


class TestFiles:
    def test_where_there_is_no_site_the_command_that_makes_one_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationInvalid, match="init"):
            read_site_settings(Home(tmp_path / "nowhere"))

    def test_what_is_no_text_is_said(self, home: Home) -> None:
        home.policy.write_bytes(b"version = 1 # \xff")
        with pytest.raises(ConfigurationInvalid, match=":1:15: error: not UTF-8 text"):
            read_site_policy(home, SystemClock())

    def test_what_cannot_be_read_is_said(self, home: Home) -> None:
        home.policy.unlink()
        home.policy.mkdir()
        with pytest.raises(ConfigurationInvalid, match="cannot be read"):
            read_site_policy(home, SystemClock())


class TestSite:
    def test_what_the_local_administrator_is_permitted_is_recorded_before(self, home: Home) -> None:
        with local_site(home) as site:
            permit = site.permit(Verb.AUDIT)
            lines = trail_of(site).tail(permit, 10, Filters(kind="site"))
            assert lines[-1].event.kind == "site.audit"
            assert not site.broken

    def test_the_local_administrator_is_no_device(self, home: Home) -> None:
        with local_site(home) as site, pytest.raises(NotPermitted):
            site.permit(Verb.FIND)

    def test_a_command_whose_deeds_cannot_be_recorded_fails(self, home: Home) -> None:
        with pytest.raises(AuditFailed), local_site(home) as site:  # noqa: PT012  it fails at its end
            site.permit(Verb.MANAGE)
            with site.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
            site.gate.record(AuditEvent("device.revoked", Outcome.DONE, "root"))

    def test_it_is_closed_in_order_even_after_an_error(self, home: Home) -> None:
        with pytest.raises(KeyError), local_site(home) as site:  # noqa: PT012  the error is the point
            site.gate.record(AuditEvent("server.started", Outcome.DONE, "NORTH"))
            raise KeyError("a bug")
        assert not site.committer.alive
        assert site.broken
        with local_site(home) as again:
            kinds = [line.event.kind for line in trail_of(again).tail(again.permit(Verb.AUDIT), 9, Filters())]
            assert "server.started" in kinds
            assert trail_of(again).verify(again.permit(Verb.AUDIT), lambda _events: None).ok

    def test_a_key_that_does_not_fit_opens_nothing_and_leaves_nothing_open(self, home: Home) -> None:
        key = home.keys / "index.key"
        key.chmod(0o600)
        key.write_bytes(bytes(32))
        with pytest.raises(KeyUnavailable), local_site(home):
            pass

    def test_a_fresh_site_is_sound(self, home: Home) -> None:
        with local_site(home) as site:
            permit = site.permit(Verb.CHECK)
            report = checker_of(site).check(permit, lambda _stage, _done, _total: None)
            assert report.sound
            assert trail_of(site).verify(site.permit(Verb.AUDIT), lambda _events: None).ok


def test_the_server_is_built_from_the_settings_and_listens(home: Home) -> None:
    async def scenario() -> None:
        policy = load_policy(FLOWS, path="", now=BEFORE.now())
        with open_site(home, policy, lambda _results: None) as site:
            server, close = build_server(site)
            await server.listen(tuple(site.settings.listeners.values()))
            assert server.listening.keys() == {"dicom-tls", "legacy"}
            assert (server.live, server.waiting) == ({}, 0)
            assert server._options.server_tls("127.0.0.1") is not None
            await server.drain(0)
            close()

    run(scenario())


def test_a_delivery_speaks_tls_unless_the_zone_is_plaintext(home: Home) -> None:
    async def scenario() -> None:
        await asyncio.sleep(0)
        policy = load_policy(FLOWS, path="", now=BEFORE.now())
        with open_site(home, policy, lambda _results: None) as site:
            assert _client_tls(site, policy.devices["us1"]) is None
            sessions = _client_tls(site, policy.devices["ct1"])
            assert sessions is not None
            assert sessions().outgoing()  # the first message of a handshake

    run(scenario())
