"""``retention``: only what a rule reaches goes, and a hold keeps it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.app import Home, local_site
from leadglass.cli.output import Exit
from leadglass.index.aging import Aging, Reach
from leadglass.index.entries import microseconds
from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted
from leadglass.use_cases import retention_of
from tests.support.archive_rig import ct_images
from tests.support.command_line import Leadglass
from tests.support.entries import permit as permit_to
from tests.support.site import LiveSite
from tests.support.stored import store_in_process, study_of

STUDY = study_of(ct_images(1)[0])


@pytest.fixture
def home(live: LiveSite) -> Path:
    """One study of CT, received 100 days ago."""
    store_in_process(live, ct_images(2))
    with local_site(Home(live.home)) as site, site.engine.begin() as connection:
        received = microseconds(site.clock.now() - timedelta(days=100))
        connection.exec_driver_sql("UPDATE instance SET received_at_us = ?", (received,))
    return live.home


def rule(home: Path, text: str) -> None:
    with (home / "leadglass.toml").open("a") as file:
        file.write(f'\n[retention.rules.test]\naction = "bin"\n{text}\n')


def due(leadglass: Leadglass, home: Path) -> list[str]:
    shown = leadglass("--home", home, "retention", "run", "--dry-run", "--json").json
    assert shown["moved"] == 0
    return [each["study"]["study_uid"] for each in shown["due"]]


def test_without_a_rule_nothing_goes(leadglass: Leadglass, home: Path) -> None:
    assert "no rule" in leadglass("--home", home, "retention", "show").err
    assert leadglass("--home", home, "retention", "run", "--yes", "--json").json == {"due": [], "moved": 0}


def test_what_is_old_enough_goes_to_the_bin_and_the_trail_names_the_rule(
    leadglass: Leadglass, home: Path, live: LiveSite
) -> None:
    rule(home, "older_than_days = 99")
    assert "takes every study" in leadglass("--home", home, "retention", "show").err
    [shown] = leadglass("--home", home, "retention", "show", "--json").json
    assert shown["name"] == "test"
    assert STUDY in leadglass("--home", home, "retention", "run", "--dry-run").out
    moved = leadglass("--home", home, "retention", "run", "--yes")
    assert (moved.code, due(leadglass, home)) == (Exit.OK, [])
    [line] = live.audit("study.deleted")
    assert (line.event.study, line.event.reason, line.event.count) == (STUDY, "retention rule test", 2)
    assert leadglass("--home", home, "bin", "restore", "--study", STUDY).code == Exit.OK


@pytest.mark.parametrize(
    ("text", "goes"),
    [
        ("older_than_days = 101", False),
        ('older_than_days = 99\nmodality = ["CT", "SR"]', True),
        ('older_than_days = 99\nmodality = "US"', False),
        ('older_than_days = 99\nlabel = "night"', True),
        ('older_than_days = 99\nlabel = "other"', False),
        ('older_than_days = 99\nnot_label = "night"', False),
        ('older_than_days = 99\nnot_label = "other"', True),
    ],
)
def test_every_condition_narrows(leadglass: Leadglass, home: Path, text: str, *, goes: bool) -> None:
    leadglass("--home", home, "label", "add", STUDY, "night")
    rule(home, text)
    assert due(leadglass, home) == ([STUDY] if goes else [])


def test_a_study_that_grew_lately_stays(leadglass: Leadglass, home: Path, live: LiveSite) -> None:
    rule(home, "older_than_days = 99")
    store_in_process(live, ct_images(3)[2:], again=True)
    assert due(leadglass, home) == []


def test_a_legal_hold_always_wins(leadglass: Leadglass, home: Path) -> None:
    rule(home, "older_than_days = 99")
    with local_site(Home(home)) as site:
        permit, retention = site.permit(Verb.DELETE), retention_of(site)
        listed = retention.due(permit)
        leadglass("--home", home, "hold", "add", STUDY, "--reason", "case 7")
        assert retention.due(permit) == []
        assert retention.apply(permit, listed, lambda _done: True) == 0


def test_it_can_be_stopped(leadglass: Leadglass, home: Path) -> None:
    rule(home, "older_than_days = 99")
    with local_site(Home(home)) as site:
        permit, retention = site.permit(Verb.DELETE), retention_of(site)
        assert retention.apply(permit, retention.due(permit), lambda _done: False) == 0
    assert due(leadglass, home) == [STUDY]


def test_nobody_else_may_ask(home: Path) -> None:
    with local_site(Home(home)) as site:
        reach = Reach(site.clock.now(), (), (), ())
        for verb in set(Verb) - {Verb.DELETE}:
            with pytest.raises(NotPermitted):
                Aging(site.engine).reached(permit_to(verb), reach)
