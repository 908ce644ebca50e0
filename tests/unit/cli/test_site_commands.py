"""init, status, zones, audit, check and device, as an administrator types them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from leadglass.app import Home, local_site
from leadglass.cli.main import INTERRUPTED
from leadglass.cli.output import Exit
from leadglass.cli.running import Running, read_running, remove_running, serving_lock, write_running
from leadglass.model.caller import Peer, Transport
from leadglass.model.errors import NotAdmitted
from leadglass.model.event import AuditEvent, Outcome
from leadglass.policy import load_policy
from tests.support.command_line import Leadglass
from tests.support.site import LiveSite

INIT = ["init", "--name", "North Clinic", "--ae", "NORTH, NORTH2", "--dicom-tls", "127.0.0.1:0"]


class TestInit:
    def test_it_prints_every_path_and_what_to_do_next(self, leadglass: Leadglass, tmp_path: Path) -> None:
        ended = leadglass("--home", tmp_path / "s", *INIT, "--dicom-plain", "legacy=127.0.0.1:0")
        assert ended.code == Exit.OK
        assert all(Path(line).exists() for line in ended.out.splitlines())
        assert "CA fingerprint" in ended.err
        assert "device add" in ended.err
        again = leadglass("--home", tmp_path / "s", *INIT)
        assert again.code == Exit.ERROR

    def test_it_is_closed_until_a_device_is_added(self, leadglass: Leadglass, tmp_path: Path) -> None:
        home = tmp_path / "s"
        leadglass("--home", home, *INIT)
        assert leadglass("--home", home, "zones", "check").code == Exit.OK
        assert leadglass("--home", home, "zones", "explain", "internet echo archive").code == Exit.FINDINGS

    def test_json(self, leadglass: Leadglass, tmp_path: Path) -> None:
        ended = leadglass("--home", tmp_path / "s", *INIT, "--zone", "ct=10.1.0.0/16,10.2.0.0/16", "--json")
        assert ended.json["ca_fingerprint"]
        assert ended.err == ""

    @pytest.mark.parametrize(
        "wrong",
        [
            ["--dicom-plain", "127.0.0.1:11112"],
            ["--dicom-plain", "legacy=nowhere"],
            ["--zone", "modalities"],
        ],
    )
    def test_a_wrong_option_is_a_usage_error_and_makes_nothing(
        self, leadglass: Leadglass, tmp_path: Path, wrong: list[str]
    ) -> None:
        assert leadglass("--home", tmp_path / "s", *INIT, *wrong).code == Exit.USAGE
        assert not (tmp_path / "s").exists()


class TestStatus:
    def test_a_site_that_is_not_served(self, leadglass: Leadglass, live: LiveSite) -> None:
        ended = leadglass("--home", live.home, "status")
        assert ended.code == Exit.OK
        assert "served       no" in ended.out
        assert leadglass("--home", live.home, "status", "--json").json["running"] is None

    def test_a_site_that_is_served_and_has_trouble(self, leadglass: Leadglass, live: LiveSite) -> None:
        home = Home(live.home)
        home.run.mkdir(exist_ok=True)
        with local_site(home) as site:
            running = Running(
                os.getpid(),
                site.clock.now(),
                {"dicom-tls": "127.0.0.1:2762"},
                {"ct1": 2},
                1,
                "the disk is full",
            )
        with serving_lock(home):
            write_running(home, running)
            ended = leadglass("--home", live.home, "status")
            for_a_script = leadglass("--home", live.home, "status", "--json")
        assert ended.code == for_a_script.code == Exit.FINDINGS
        assert for_a_script.json["running"]["trouble"] == "the disk is full"
        assert f"yes, process {os.getpid()}" in ended.out
        assert "dicom-tls 127.0.0.1:2762" in ended.out
        assert "ct1 2" in ended.out
        assert "the disk is full" in ended.out
        with serving_lock(home):
            write_running(home, Running(os.getpid(), running.time, {}, {}, 0, ""))
            ended = leadglass("--home", live.home, "status")
        assert (ended.code, "associations  none" in ended.out) == (Exit.OK, True)

    def test_a_policy_that_is_wrong_or_due_is_a_finding_for_people_and_programs(
        self, leadglass: Leadglass, live: LiveSite
    ) -> None:
        policy = live.home / "policy.toml"
        good = policy.read_text(encoding="utf-8")
        policy.write_text("version = 2\n", encoding="utf-8")
        wrong = leadglass("--home", live.home, "status")
        assert wrong.code == Exit.FINDINGS
        assert "the policy is wrong; see 'leadglass zones check'" in wrong.err
        wrong = leadglass("--home", live.home, "status", "--json")
        assert (wrong.code, wrong.json["policy_is_wrong"]) == (Exit.FINDINGS, True)
        zone = '[zones]\nold = { cidr = [], transport = "plain", review_by = 2026-01-01 }\n'
        policy.write_text(f"version = 1\n{zone}", encoding="utf-8")
        assert leadglass("--home", live.home, "status").code == Exit.FINDINGS
        overdue = leadglass("--home", live.home, "status", "--json")
        assert (overdue.code, overdue.json["policy_is_wrong"]) == (Exit.FINDINGS, False)
        assert overdue.json["reviews_due"][0]["where"] == "zones.old"
        policy.write_text(good, encoding="utf-8")
        assert leadglass("--home", live.home, "status", "--json").code == Exit.OK

    def test_a_server_that_is_gone_is_not_served(self, live: LiveSite) -> None:
        home = Home(live.home)
        home.run.mkdir(exist_ok=True)
        assert read_running(home) is None
        with local_site(home) as site:
            now = site.clock.now()
        write_running(home, Running(os.getpid(), now, {}, {}, 0, ""))  # as if its number had been given to us
        assert read_running(home) is None
        with serving_lock(home):
            assert read_running(home) is None  # what the one before has left is not of this one
            write_running(home, Running(os.getpid(), now, {}, {}, 0, ""))
            assert read_running(home) is not None
            (home.run / "server.json").write_text("{")
            assert read_running(home) is None
        remove_running(home)
        remove_running(home)


class TestZones:
    def test_a_good_policy(self, leadglass: Leadglass, live: LiveSite) -> None:
        ended = leadglass("--home", live.home, "zones", "check", "--json")
        assert ended.code == Exit.OK
        assert ended.json["failed_tests"] == []

    def test_errors_name_file_and_line(self, leadglass: Leadglass, live: LiveSite, tmp_path: Path) -> None:
        draft = tmp_path / "draft.toml"
        draft.write_text("version = 1\n[zons]\n")
        ended = leadglass("--home", live.home, "zones", "check", draft)
        assert ended.code == Exit.ERROR
        assert f"{draft}:2:" in ended.out
        assert ended.err.splitlines()[-1] == "1 error"
        assert "zones" in ended.out

    def test_a_failed_test_has_its_own_exit_code(
        self, leadglass: Leadglass, live: LiveSite, tmp_path: Path
    ) -> None:
        draft = tmp_path / "draft.toml"
        draft.write_text('version = 1\n[tests]\nallow = ["internet echo archive"]\n')
        ended = leadglass("--home", live.home, "zones", "check", draft)
        assert ended.code == Exit.POLICY_TESTS_FAILED
        assert f'{draft}:3:10: test "internet echo archive" expects allow' in ended.out

    def test_explain(self, leadglass: Leadglass, live: LiveSite) -> None:
        live.add_device("ct1", "modalities", "CT1")
        allowed = leadglass("--home", live.home, "zones", "explain", "ct1 store archive")
        denied = leadglass("--home", live.home, "zones", "explain", "ct1 find archive")
        assert (allowed.code, denied.code) == (Exit.OK, Exit.FINDINGS)
        assert "allowed by flow" in allowed.out
        assert "NO  verb" in denied.out
        assert "fix: " in denied.out
        as_json = leadglass("--home", live.home, "zones", "explain", "ct1 find archive", "--json")
        assert as_json.json["allowed"] is False
        unknown = leadglass("--home", live.home, "zones", "explain", "ct9 find archive")
        assert unknown.code == Exit.USAGE


class TestAudit:
    def test_tail(self, leadglass: Leadglass, live: LiveSite) -> None:
        home = Home(live.home)
        with local_site(home) as site:
            site.gate.record(
                AuditEvent(
                    "instance.refused",
                    Outcome.FAILED,
                    "ct1",
                    address="127.0.0.1",
                    calling_ae="CT1\x1b[2J",
                    called_ae="NORTH",
                    reason="broken",
                    instance="1.2.3",
                    count=3,
                )
            )
            site.gate.record(AuditEvent("retrieval.sent", Outcome.DONE, "ws1", study="1.2"))
        ended = leadglass("--home", live.home, "audit", "tail")
        assert ended.code == Exit.OK
        assert "instance 1.2.3  x3" in ended.out
        assert "study 1.2" in ended.out
        assert "\x1b" not in ended.out
        assert leadglass("--home", live.home, "audit", "tail", "--who", "ws1").out.count("\n") == 1
        some = leadglass("--home", live.home, "audit", "tail", "--kind", "instance", "--json")
        assert [json.loads(line)["event"]["instance"] for line in some.out.splitlines()] == ["1.2.3"]

    def test_the_ladder_of_a_refusal(self, leadglass: Leadglass, live: LiveSite) -> None:
        live.add_device("ct1", "modalities", "CT1")
        with local_site(Home(live.home)) as site:
            site.gate.replace_policy(
                load_policy((live.home / "policy.toml").read_text(), path="", now=site.clock.now())
            )
            with pytest.raises(NotAdmitted):
                site.gate.admit(
                    Peer("127.0.0.1", Transport.PLAIN, "legacy", None, "EVIL", "NORTH"), "a1", lambda _: ""
                )
        ended = leadglass("--home", live.home, "audit", "tail", "--ladder", "--outcome", "denied")
        assert "NO  " in ended.out
        assert "fix: " in ended.out

    def test_following_goes_on_with_what_comes(
        self, leadglass: Leadglass, live: LiveSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rounds = iter(range(3))

        def sleep(_seconds: float) -> None:
            if next(rounds, None) is None:
                raise KeyboardInterrupt
            with local_site(Home(live.home)) as site:
                site.gate.record(AuditEvent("server.started", Outcome.DONE, "NORTH"))

        monkeypatch.setattr("leadglass.cli.audit.time.sleep", sleep)
        ended = leadglass("--home", live.home, "audit", "tail", "-f", "--kind", "server.started")
        assert ended.out.count("server.started") == 3
        assert ended.code == INTERRUPTED

    def test_verify(self, leadglass: Leadglass, live: LiveSite) -> None:
        ended = leadglass("--home", live.home, "audit", "verify")
        assert (ended.code, "the audit trail is whole" in ended.err) == (Exit.OK, True)
        with local_site(Home(live.home)) as site, site.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM audit_event WHERE seq = 1")
        broken = leadglass("--home", live.home, "audit", "verify")
        assert broken.code == Exit.INTEGRITY_BROKEN
        assert "broken: " in broken.err
        as_json = leadglass("--home", live.home, "audit", "verify", "--json")
        assert as_json.json["ok"] is False


class TestCheck:
    def test_a_sound_site(self, leadglass: Leadglass, live: LiveSite) -> None:
        ended = leadglass("--home", live.home, "check")
        assert (ended.code, ended.err.strip().endswith("sound")) == (Exit.OK, True)
        assert leadglass("--home", live.home, "check", "--json").json["sound"] is True

    def test_damage_has_its_own_exit_code_and_is_recorded(self, leadglass: Leadglass, live: LiveSite) -> None:
        with local_site(Home(live.home)) as site, site.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM audit_event WHERE seq = 1")
        ended = leadglass("--home", live.home, "check")
        assert ended.code == Exit.INTEGRITY_BROKEN
        assert "damage: audit: " in ended.err
        [line] = live.audit("check.finished")
        assert line.event.outcome is Outcome.ALERT
        assert leadglass("--home", live.home, "check", "--json").json["sound"] is False


class TestDevice:
    def add(self, leadglass: Leadglass, live: LiveSite, *extra: object) -> None:
        ended = leadglass(
            "--home",
            live.home,
            "device",
            "add",
            "--yes",
            "ct1",
            "--zone",
            "modalities",
            "--ae",
            "CT1",
            *extra,
        )
        assert ended.code == Exit.OK, ended.err

    def test_add_list_revoke_renew(self, leadglass: Leadglass, live: LiveSite, tmp_path: Path) -> None:
        self.add(leadglass, live, "--makes", "CT,SR", "--out", tmp_path / "ct1", "--owner", "radiology")
        assert {path.name for path in (tmp_path / "ct1").iterdir()} == {"key.pem", "cert.pem", "ca.pem"}
        listed = leadglass("--home", live.home, "device", "list")
        assert listed.out.startswith("ct1\tmodalities\tmtls\tCT1\tCT,SR\t")
        assert leadglass("--home", live.home, "device", "list", "--json").json[0]["name"] == "ct1"
        revoked = leadglass("--home", live.home, "device", "revoke", "--yes", "ct1")
        assert (revoked.code, "is revoked; 1 certificates" in revoked.err) == (Exit.OK, True)
        assert "revoked" in leadglass("--home", live.home, "device", "list").out
        renewed = leadglass("--home", live.home, "device", "renew", "--yes", "ct1", "--out", tmp_path / "new")
        assert renewed.code == Exit.OK
        assert (tmp_path / "new" / "key.pem").stat().st_mode & 0o777 == 0o600
        again = leadglass("--home", live.home, "device", "revoke", "--yes", "ct1", "--json")
        assert again.json["serials"]

    def test_json_of_add(self, leadglass: Leadglass, live: LiveSite, tmp_path: Path) -> None:
        ended = leadglass(
            "--home", live.home, "device", "add", "--yes", "ct1", "--zone", "modalities", "--ae", "CT1",
            "--out",
            tmp_path / "ct1", "--json",
        )  # fmt: skip
        assert ended.json["device"] == "ct1"
        assert "ct1 = " in ended.json["policy_line"]

    def test_a_plaintext_device_needs_no_certificate(self, leadglass: Leadglass, live: LiveSite) -> None:
        ended = leadglass(
            "--home",
            live.home,
            "device",
            "add",
            "--yes",
            "us1",
            "--zone",
            "legacy",
            "--ae",
            "US1",
            "--ip",
            "127.0.0.1",
        )
        assert ended.code == Exit.OK
        assert "try it: leadglass echo" in ended.err
        assert "spoofable" in leadglass("--home", live.home, "device", "list").out

    def test_a_pinned_certificate(self, leadglass: Leadglass, live: LiveSite) -> None:
        self.add(leadglass, live, "--fingerprint", "ab" * 32)
        assert "pinned" in leadglass("--home", live.home, "device", "list").out

    def test_a_pkcs12_with_a_passphrase_from_the_environment(
        self, leadglass: Leadglass, live: LiveSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LEADGLASS_P12_PASSPHRASE", "correct horse")
        self.add(leadglass, live, "--p12", "--out", tmp_path / "ct1")
        assert (tmp_path / "ct1" / "device.p12").exists()
        monkeypatch.setenv("LEADGLASS_P12_PASSPHRASE", "")
        ended = leadglass(
            "--home", live.home, "device", "renew", "--yes", "ct1", "--p12", "--out", tmp_path / "new"
        )
        assert ended.code == Exit.USAGE

    def test_a_request_of_the_devices_own(self, leadglass: Leadglass, live: LiveSite, tmp_path: Path) -> None:
        csr = tmp_path / "request.pem"
        missing = leadglass(
            "--home", live.home, "device", "add", "--yes", "ct1", "--zone", "modalities", "--ae", "CT1",
            "--csr", csr,
            "--out", tmp_path / "ct1",
        )  # fmt: skip
        assert missing.code == Exit.ERROR
        csr.write_text("no request")
        wrong = leadglass(
            "--home", live.home, "device", "add", "--yes", "ct1", "--zone", "modalities", "--ae", "CT1",
            "--csr", csr,
            "--out", tmp_path / "ct1",
        )  # fmt: skip
        assert wrong.code == Exit.ERROR

    @pytest.mark.parametrize(
        "options",
        [
            ["--fingerprint", "ab" * 32, "--p12"],
            ["--csr", "x", "--p12", "--out", "y"],
            [],
        ],
    )
    def test_options_that_do_not_go_together(
        self, leadglass: Leadglass, live: LiveSite, options: list[str]
    ) -> None:
        ended = leadglass(
            "--home",
            live.home,
            "device",
            "add",
            "--yes",
            "ct1",
            "--zone",
            "modalities",
            "--ae",
            "CT1",
            *options,
        )
        assert ended.code == Exit.USAGE

    def test_a_change_that_the_policys_tests_refuse_has_its_own_exit_code(
        self, leadglass: Leadglass, live: LiveSite, tmp_path: Path
    ) -> None:
        self.add(leadglass, live, "--out", tmp_path / "ct1")
        policy = live.home / "policy.toml"
        text = policy.read_text(encoding="utf-8")
        policy.write_text(text.replace("allow = [", 'allow = ["ct1 find archive", ', 1), encoding="utf-8")
        ended = leadglass(
            "--home", live.home, "device", "add", "--yes", "ct2", "--zone", "modalities", "--ae", "CT2",
            "--out",
            tmp_path / "ct2",
        )  # fmt: skip
        assert ended.code == Exit.POLICY_TESTS_FAILED
        assert not (tmp_path / "ct2").exists() or not list((tmp_path / "ct2").iterdir())

    def test_an_unknown_device_is_an_error(self, leadglass: Leadglass, live: LiveSite) -> None:
        assert leadglass("--home", live.home, "device", "revoke", "--yes", "nobody").code == Exit.ERROR
