from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from leadglass.admin.site import SiteRequest, ZoneRequest, create_site, default_zones
from leadglass.audit.read import tail
from leadglass.identity.authority import Authority
from leadglass.identity.certificates import names_host
from leadglass.index.engine import open_engine
from leadglass.index.migrate import require_current
from leadglass.model.action import MACHINE_VERBS
from leadglass.model.caller import Transport
from leadglass.model.errors import ConfigurationInvalid, LeadglassError, SiteExists
from leadglass.policy import check_policy, explain, load_policy, parse_question
from leadglass.sitefile import read_settings
from leadglass.storage.keys import FileKeyProvider
from tests.support.admin_desk import ADMINISTRATOR, REQUEST, HandClock, listener

TODAY = date(2026, 11, 22)


def _snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_new_site_opens_in_every_room(home: Path, clock: HandClock) -> None:
    settings = read_settings((home / "leadglass.toml").read_text(), path="leadglass.toml")
    assert (settings.name, settings.ae) == ("North Clinic", ("NORTH",))
    assert set(settings.listeners) == {"tls", "legacy"}
    authority = Authority.open(home / "keys", clock)
    assert names_host(authority.server, "127.0.0.1")
    assert names_host(authority.server, "localhost")
    assert len(FileKeyProvider(home / "keys").current().secret) == 32
    engine = open_engine(str(home / "index.db"), (home / "keys" / "index.key").read_bytes())
    require_current(engine)
    with engine.connect() as connection:
        lines = tail(connection, 10)
    assert [line.event.kind for line in lines] == ["site.created"]
    assert lines[0].event.who == "root"
    engine.dispose()


def test_nobody_else_can_read_a_new_site(home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "keys").stat().st_mode) == 0o700
    secrets = [path for path in (home / "keys").iterdir() if path.suffix == ".key"]
    assert len(secrets) == 5
    for path in [*secrets, home / "index.db", home / "policy.toml", home / "leadglass.toml"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_new_policy_is_closed_and_clean(home: Path, clock: HandClock) -> None:
    text = (home / "policy.toml").read_text()
    checked = check_policy(text, path="policy.toml", now=clock.at)
    assert checked.policy is not None
    assert checked.findings == ()
    for verb in MACHINE_VERBS:
        for transport in ("mtls", "plain"):
            question = parse_question(f"internet {verb} archive transport={transport} ip=127.0.0.1")
            assert not explain(checked.policy, question, clock.at).allowed


def test_paths_fingerprint_and_next_commands_are_told(
    tmp_path: Path, clock: HandClock, random_bytes: Callable[[int], bytes]
) -> None:
    created = create_site(tmp_path / "a" / "site", REQUEST, ADMINISTRATOR, clock, random_bytes)
    assert all(path.exists() for path in created.paths)
    assert created.ca_fingerprint == Authority.open(created.home / "keys", clock).ca_fingerprint
    assert "device add" in created.next_commands[0]
    assert created.next_commands[-1] == f"leadglass --home {created.home} serve"


def test_empty_folder_is_taken(
    tmp_path: Path, clock: HandClock, random_bytes: Callable[[int], bytes]
) -> None:
    (tmp_path / "site").mkdir()
    create_site(tmp_path / "site", REQUEST, ADMINISTRATOR, clock, random_bytes)
    assert (tmp_path / "site" / "policy.toml").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_site_is_never_overwritten(
    home: Path, clock: HandClock, random_bytes: Callable[[int], bytes]
) -> None:
    before = _snapshot(home.parent)
    with pytest.raises(SiteExists, match="not overwritten"):
        create_site(home, REQUEST, ADMINISTRATOR, clock, random_bytes)
    assert _snapshot(home.parent) == before


@pytest.mark.parametrize("name", ["leadglass.toml", "policy.toml", "keys", "index.db"])
def test_one_file_of_a_site_is_enough_to_refuse(
    tmp_path: Path, clock: HandClock, random_bytes: Callable[[int], bytes], name: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / name).symlink_to("nowhere")
    with pytest.raises(SiteExists):
        create_site(tmp_path / "site", REQUEST, ADMINISTRATOR, clock, random_bytes)


def test_folder_with_something_else_is_refused(
    tmp_path: Path, clock: HandClock, random_bytes: Callable[[int], bytes]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationInvalid, match="not an empty folder"):
        create_site(tmp_path, REQUEST, ADMINISTRATOR, clock, random_bytes)
    with pytest.raises(ConfigurationInvalid, match="not an empty folder"):
        create_site(tmp_path / "notes.txt", REQUEST, ADMINISTRATOR, clock, random_bytes)


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, ae=()),
        replace(REQUEST, ae=("A TITLE THAT IS TOO LONG",)),
        replace(REQUEST, name=""),
        replace(REQUEST, name="x" * 65),
        replace(REQUEST, host_names=("not a host",)),
        replace(REQUEST, zones=(ZoneRequest("modalities", ("10.0.0.0/99",)),)),
        replace(REQUEST, zones=(ZoneRequest("legacy", ("8.8.8.0/24",)),)),
    ],
)
def test_bad_request_leaves_nothing(
    tmp_path: Path, clock: HandClock, random_bytes: Callable[[int], bytes], request_: SiteRequest
) -> None:
    with pytest.raises(LeadglassError):
        create_site(tmp_path / "site", request_, ADMINISTRATOR, clock, random_bytes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("calls_before_it_fails", [0, 1])
def test_interrupted_init_leaves_nothing(
    tmp_path: Path, clock: HandClock, calls_before_it_fails: int
) -> None:
    calls = 0

    def interrupted(count: int) -> bytes:
        nonlocal calls
        calls += 1
        if calls > calls_before_it_fails:
            raise KeyboardInterrupt
        return bytes(count)

    (tmp_path / "site").mkdir()
    with pytest.raises(KeyboardInterrupt):
        create_site(tmp_path / "site", REQUEST, ADMINISTRATOR, clock, interrupted)
    assert _snapshot(tmp_path) == {"site": None}


def test_folder_filled_by_another_meanwhile_is_left_alone(tmp_path: Path, clock: HandClock) -> None:
    def slow(count: int) -> bytes:
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "policy.toml").write_text("theirs")
        return bytes(count)

    with pytest.raises(SiteExists, match="meanwhile"):
        create_site(tmp_path / "site", REQUEST, ADMINISTRATOR, clock, slow)
    assert _snapshot(tmp_path) == {"site": None, "site/policy.toml": b"theirs"}


def test_folder_whose_parent_cannot_be_written_is_named(
    clock: HandClock, random_bytes: Callable[[int], bytes]
) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot write to /proc"):
        create_site(Path("/proc/site"), REQUEST, ADMINISTRATOR, clock, random_bytes)


def test_loopback_listeners_get_loopback_zones() -> None:
    zones = {zone.name: zone for zone in default_zones(REQUEST, TODAY)}
    assert zones["modalities"].cidrs == ("127.0.0.0/8",)
    assert zones["reading"].cidrs == ("127.0.3.0/24",)
    assert zones["legacy"].cidrs == ("127.0.0.0/8",)
    assert zones["legacy"].transport is Transport.PLAIN
    assert zones["legacy"].review_by == date(2027, 11, 22)


@pytest.mark.parametrize(
    ("address", "cidrs"),
    [
        ("10.20.1.7:2762", ("10.20.1.0/24",)),
        ("192.168.0.1:2762", ("192.168.0.0/24",)),
        ("0.0.0.0:2762", ()),
        ("8.8.8.8:2762", ()),
        ("[::1]:2762", ()),
        ("[2001:db8::1]:2762", ()),
    ],
)
def test_only_a_private_address_is_guessed_from(address: str, cidrs: tuple[str, ...]) -> None:
    request = replace(REQUEST, listeners=(listener("tls", address, Transport.MTLS),))
    zones = {zone.name: zone for zone in default_zones(request, TODAY)}
    assert zones["modalities"].cidrs == cidrs
    assert zones["reading"].cidrs == ()


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, listeners=()),
        replace(REQUEST, listeners=(listener("modalities", "127.0.0.1:104", Transport.PLAIN),)),
        replace(
            REQUEST,
            listeners=(
                listener("old", "127.0.0.1:104", Transport.PLAIN),
                listener("older", "127.0.0.1:105", Transport.PLAIN),
            ),
        ),
        replace(REQUEST, listeners=(listener("old", "0.0.0.0:104", Transport.PLAIN),)),
        replace(REQUEST, zones=(ZoneRequest("modalities", ("10.1.0.0/16", "10.2.0.0/16")),)),
        replace(REQUEST, zones=(ZoneRequest("legacy", ("10.9.0.0/24",)),)),
    ],
)
def test_default_zones_always_make_a_policy_that_loads(request_: SiteRequest, clock: HandClock) -> None:
    from leadglass.policy import render_policy

    zones = default_zones(request_, TODAY)
    policy = load_policy(render_policy("x", zones), path="policy.toml", now=clock.at)
    assert set(policy.zones) == {zone.name for zone in zones}


def test_zones_asked_for_replace_the_guesses() -> None:
    asked = (ZoneRequest("ward", ("10.1.0.0/16",)), ZoneRequest("legacy", ("10.9.0.0/24",)))
    zones = {zone.name: zone for zone in default_zones(replace(REQUEST, zones=asked), TODAY)}
    assert set(zones) == {"ward", "legacy"}
    assert (zones["ward"].transport, zones["ward"].review_by) == (Transport.MTLS, None)
    assert (zones["legacy"].transport, zones["legacy"].cidrs) == (Transport.PLAIN, ("10.9.0.0/24",))
    assert zones["legacy"].review_by is not None


def test_review_after_a_leap_day_is_a_real_day() -> None:
    zones = {zone.name: zone for zone in default_zones(REQUEST, date(2028, 2, 29))}
    assert zones["legacy"].review_by == date(2029, 3, 1)


def test_site_moves_whole(home: Path, tmp_path: Path, clock: HandClock) -> None:
    shutil.move(home, tmp_path / "elsewhere")
    Authority.open(tmp_path / "elsewhere" / "keys", clock)
