"""``zones render``, as an administrator types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.cli.output import Exit
from tests.support.command_line import Leadglass
from tests.support.policies import EXAMPLE
from tests.support.site import LiveSite


@pytest.fixture
def site(live: LiveSite) -> LiveSite:
    (live.home / "policy.toml").write_text(EXAMPLE, encoding="utf-8")
    return live


def test_rules_go_to_stdout_and_the_warning_to_stderr(leadglass: Leadglass, site: LiveSite) -> None:
    ended = leadglass("--home", site.home, "zones", "render", "nftables", "--user", "leadglass")
    assert ended.code == Exit.OK
    assert f"tcp dport {site.plain_port} ct state new accept" in ended.out
    assert 'meta skuid "leadglass"' in ended.out
    assert "keep your own way in" in ended.err


def test_draft_is_rendered_before_it_is_applied(leadglass: Leadglass, site: LiveSite, tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text(EXAMPLE.replace('"10.20.9.5"', '"10.20.9.6"'), encoding="utf-8")
    ended = leadglass("--home", site.home, "zones", "render", "nftables", "--policy", draft)
    assert "ip saddr { 10.20.9.6/32 }" in ended.out
    assert "10.20.9.5" not in ended.out


@pytest.mark.parametrize("user", ["x y", 'x"', "X;reboot", "a" * 33])
def test_account_that_is_no_name_is_refused(leadglass: Leadglass, site: LiveSite, user: str) -> None:
    ended = leadglass("--home", site.home, "zones", "render", "iptables-save", "--user", user)
    assert (ended.code, ended.out) == (Exit.ERROR, "")
    assert "is no name of an account" in ended.err


@pytest.mark.parametrize("dialect", ["k8s-networkpolicy", "aws-security-group", "cisco-acl"])
def test_account_where_none_can_be_bound_is_wrong_use(
    leadglass: Leadglass, site: LiveSite, dialect: str
) -> None:
    ended = leadglass("--home", site.home, "zones", "render", dialect, "--user", "leadglass")
    assert (ended.code, ended.out) == (Exit.USAGE, "")
    assert f"{dialect} cannot bind what one account sends" in ended.err


def test_policy_with_errors_is_not_rendered(leadglass: Leadglass, site: LiveSite) -> None:
    (site.home / "policy.toml").write_text(EXAMPLE.replace("[flows]", "[flow]"), encoding="utf-8")
    ended = leadglass("--home", site.home, "zones", "render", "nftables")
    assert (ended.code, ended.out) == (Exit.ERROR, "")
    assert 'unknown key "flow"' in ended.err


def test_listener_whose_port_the_system_chooses_is_refused(leadglass: Leadglass, site: LiveSite) -> None:
    settings = site.home / "leadglass.toml"
    text = settings.read_text(encoding="utf-8").replace(f":{site.plain_port}", ":0")
    settings.write_text(text, encoding="utf-8")
    ended = leadglass("--home", site.home, "zones", "render", "nftables")
    assert ended.code == Exit.ERROR
    assert "listener legacy has port 0: give it a fixed port first" in ended.err
