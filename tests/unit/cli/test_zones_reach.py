"""``zones diff`` and ``zones reach``, as an administrator types them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from leadglass.cli.output import Exit
from tests.support.command_line import Leadglass
from tests.support.policies import EXAMPLE
from tests.support.site import LiveSite

WIDER = EXAMPLE.replace('makes = ["US"]', 'makes = ["US", "CR"]')


@pytest.fixture
def site(live: LiveSite) -> LiveSite:
    (live.home / "policy.toml").write_text(EXAMPLE, encoding="utf-8")
    return live


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(("git", "-C", str(folder), *identity, *arguments), check=True, capture_output=True)


def test_diff_of_two_files_tells_what_opens_and_closes(
    leadglass: Leadglass, site: LiveSite, tmp_path: Path
) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text(WIDER.replace('"get", "move"]', '"get"]'), encoding="utf-8")
    ended = leadglass("--home", site.home, "zones", "diff", site.home / "policy.toml", draft)
    assert ended.code == Exit.OK
    assert "+ us1 store archive modality=CR" in ended.out
    assert "- ws1 move archive" in ended.out
    assert "1 opened, 1 closed" in ended.err


def test_diff_fails_on_an_opening_when_it_is_told_to_and_only_then(
    leadglass: Leadglass, site: LiveSite, tmp_path: Path
) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text(WIDER, encoding="utf-8")
    opens = leadglass(
        "--home", site.home, "zones", "diff", site.home / "policy.toml", draft, "--fail-on-open"
    )
    closes = leadglass("--home", site.home, "zones", "diff", draft, "--fail-on-open")
    assert opens.code == Exit.FINDINGS
    assert closes.code == Exit.OK
    assert "- us1 store archive modality=CR" in closes.out


def test_diff_takes_revisions_of_the_repository_the_policy_is_kept_in(
    leadglass: Leadglass, site: LiveSite
) -> None:
    git(site.home, "init", "--quiet")
    git(site.home, "add", "policy.toml")
    git(site.home, "commit", "--quiet", "-m", "as it was")
    (site.home / "policy.toml").write_text(WIDER, encoding="utf-8")
    ended = leadglass("--home", site.home, "zones", "diff", "HEAD", "--json")
    assert ended.code == Exit.OK
    found = json.loads(ended.out)
    assert [each["verb"] for each in found["opened"]] == ["store"]
    assert found["closed"] == []
    assert found["examined"] > 100


@pytest.mark.parametrize("named", ["nowhere.toml", "--output=/tmp/x", "HEAD:secret", "HEAD"])
def test_what_is_neither_a_file_nor_a_revision_is_refused(
    leadglass: Leadglass, site: LiveSite, named: str
) -> None:
    ended = leadglass("--home", site.home, "zones", "diff", "--", named)
    assert ended.code == Exit.ERROR
    assert "neither a file nor a revision" in ended.err


def test_policy_with_errors_is_not_compared(leadglass: Leadglass, site: LiveSite, tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text("version = 1\n[zone]\n", encoding="utf-8")
    ended = leadglass("--home", site.home, "zones", "diff", draft)
    assert ended.code == Exit.ERROR
    assert 'did you mean "zones"?' in ended.err


def test_reach_is_a_row_for_each_pair_and_a_column_for_each_verb(
    leadglass: Leadglass, site: LiveSite
) -> None:
    ended = leadglass("--home", site.home, "zones", "reach")
    assert ended.code == Exit.OK
    rows = {tuple(line.split("\t")[:2]): line.split("\t")[2:] for line in ended.out.splitlines()}
    assert set(rows) == {
        *(("ct1", "archive"), ("us1", "archive"), ("ws1", "archive")),
        *(("archive", "night"), ("archive", "ws1"), ("rads", "any")),
    }
    assert "modality=CT or SR" in rows["ct1", "archive"]
    assert rows["ws1", "archive"].count("yes") == 4


@pytest.mark.parametrize(
    ("options", "who"),
    [
        (("--who", "ct1"), {"ct1"}),
        (("--from", "reading"), {"ws1", "rads"}),
        (("--what", "studies"), {"ct1", "us1", "ws1", "rads"}),
        (("--what", "night"), {"archive"}),
    ],
)
def test_reach_can_be_asked_of_a_part(
    leadglass: Leadglass, site: LiveSite, options: tuple[str, str], who: set[str]
) -> None:
    ended = leadglass("--home", site.home, "zones", "reach", *options)
    assert {line.partition("\t")[0] for line in ended.out.splitlines()} == who


@pytest.mark.parametrize("option", ["--who", "--what", "--from"])
def test_name_that_the_policy_does_not_know_is_refused(
    leadglass: Leadglass, site: LiveSite, option: str
) -> None:
    ended = leadglass("--home", site.home, "zones", "reach", option, "nobody")
    assert ended.code == Exit.USAGE
    assert f'{option} "nobody" is unknown' in ended.err


def test_reach_of_nothing_says_so(leadglass: Leadglass, site: LiveSite) -> None:
    ended = leadglass("--home", site.home, "zones", "reach", "--who", "ct1", "--from", "reading")
    assert (ended.code, ended.out) == (Exit.OK, "")
    assert ended.err == "nothing is allowed of what was asked for\n"


def test_reach_as_json_has_the_words_and_the_number_of_cells(leadglass: Leadglass, site: LiveSite) -> None:
    ended = leadglass("--home", site.home, "zones", "reach", "--who", "ct1", "--json")
    stores = [each for each in json.loads(ended.out) if each["verb"] == "store"]
    assert stores == [
        {
            "subject": "ct1",
            "verb": "store",
            "target": "archive",
            "circumstances": "modality=CT or SR",
            "cells": 2,
        }
    ]


def test_prove_says_that_it_holds_in_how_many_cells_or_where_it_does_not(
    leadglass: Leadglass, site: LiveSite
) -> None:
    holds = leadglass("--home", site.home, "zones", "prove", "no path from zone:remote to verb:store")
    assert holds.code == Exit.OK
    assert holds.out.startswith("holds (")
    broken = leadglass("--home", site.home, "zones", "prove", "no path from ws1 to find")
    assert broken.code == Exit.FINDINGS
    assert broken.out == "does not hold: ws1 find archive transport=mtls\n"
    as_json = leadglass("--home", site.home, "zones", "prove", "no path from ws1 to find", "--json")
    assert as_json.code == Exit.FINDINGS
    assert as_json.json["counterexample"] == "ws1 find archive transport=mtls"
    unknown = leadglass("--home", site.home, "zones", "prove", "no path from ws9 to find")
    assert unknown.code == Exit.USAGE
    assert 'did you mean "ws1"?' in unknown.err
