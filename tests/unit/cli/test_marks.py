"""``hold`` and ``label``, as an administrator types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadglass.cli.output import Exit
from tests.support.archive_rig import ct_images
from tests.support.command_line import Ended, Leadglass
from tests.support.site import LiveSite
from tests.support.stored import store_in_process, study_of

STUDY = study_of(ct_images(1)[0])
OTHER = study_of(ct_images(1, seed=2)[0])
WHY = ("--reason", "case 7")


@pytest.fixture
def home(live: LiveSite) -> Path:
    """Two studies."""
    store_in_process(live, [*ct_images(2), *ct_images(1, seed=2)])
    return live.home


def test_labels_are_put_on_and_taken_off(leadglass: Leadglass, home: Path, live: LiveSite) -> None:
    study = STUDY
    assert leadglass("--home", home, "label", "add", study, "night").code == Exit.OK
    assert leadglass("--home", home, "label", "remove", study, "night").code == Exit.OK
    assert leadglass("--home", home, "label", "remove", study, "night").code == Exit.ERROR
    assert leadglass("--home", home, "label", "add", "1.2.3", "night").code == Exit.ERROR
    assert "a label has" in leadglass("--home", home, "label", "add", study, "no label").err
    kinds = [line.event.kind for line in live.audit() if line.event.kind.startswith("study.")]
    assert kinds == ["study.labelled", "study.unlabelled"]


def test_the_labels_are_listed_by_study_and_by_label(leadglass: Leadglass, home: Path) -> None:
    def listed(*arguments: object) -> list[tuple[str, list[str]]]:
        found = leadglass("--home", home, "label", "list", *arguments, "--json").json
        return [(each["study_uid"], each["labels"]) for each in found]

    assert listed() == []
    for uid, label in ((STUDY, "night"), (STUDY, "teaching"), (OTHER, "night")):
        added = leadglass("--home", home, "label", "add", uid, label, "--json")
        assert added.json == {"study_uid": uid, "label": label, "added": True}
    both = sorted([(STUDY, ["night", "teaching"]), (OTHER, ["night"])])
    assert listed() == both
    assert listed("--label", "teaching") == [(STUDY, ["night", "teaching"])]
    assert listed("--study", OTHER) == [(OTHER, ["night"])]
    assert listed("--study", OTHER, "--label", "teaching") == []
    shown = leadglass("--home", home, "label", "list").out
    assert f"{STUDY}\tnight teaching\n" in shown
    wrong = leadglass("--home", home, "label", "list", "--label", "no label")
    assert (wrong.code, "a label has" in wrong.err) == (Exit.ERROR, True)
    removed = leadglass("--home", home, "label", "remove", STUDY, "teaching", "--json")
    assert removed.json == {"study_uid": STUDY, "label": "teaching", "removed": True}
    assert listed() == sorted([(STUDY, ["night"]), (OTHER, ["night"])])


def test_a_label_that_it_bears_already_is_no_change_and_no_line_of_the_trail(
    leadglass: Leadglass, home: Path, live: LiveSite
) -> None:
    assert leadglass("--home", home, "label", "add", STUDY, "night").err == "labelled\n"
    again = leadglass("--home", home, "label", "add", STUDY, "night")
    assert (again.code, again.err) == (Exit.OK, "it bears that label already\n")
    as_json = leadglass("--home", home, "label", "add", STUDY, "night", "--json")
    assert as_json.json["added"] is False
    [line] = live.audit("study.labelled")
    assert line.event.reason == "night"


def test_holds_are_placed_listed_and_lifted_in_json(leadglass: Leadglass, home: Path) -> None:
    def hold(*arguments: object) -> Ended:
        return leadglass("--home", home, "hold", *arguments, "--json")

    assert hold("add", STUDY, *WHY).json == {"study_uid": STUDY, "placed": True}
    assert hold("add", STUDY, "--reason", "case 8").json == {"study_uid": STUDY, "placed": False}
    assert hold("add", OTHER, *WHY).json["placed"] is True
    assert [each["study_uid"] for each in hold("list").json] == sorted([STUDY, OTHER])
    [only] = hold("list", "--study", STUDY).json
    assert (only["study_uid"], only["reason"]) == (STUDY, WHY[1])
    assert hold("remove", STUDY, *WHY).json == {"study_uid": STUDY, "released": True}
    twice = hold("remove", STUDY, *WHY)
    assert (twice.code, twice.json) == (Exit.ERROR, {"study_uid": STUDY, "released": False})
    assert [each["study_uid"] for each in hold("list").json] == [OTHER]


@pytest.mark.parametrize(
    "arguments",
    [
        ("hold", "add", "no uid", *WHY),
        ("hold", "list", "--study", "no uid"),
        ("label", "list", "--study", "x"),
    ],
)
def test_what_is_no_uid_is_said(leadglass: Leadglass, home: Path, arguments: tuple[str, ...]) -> None:
    ended = leadglass("--home", home, *arguments)
    assert (ended.code, "is no UID" in ended.err) == (Exit.ERROR, True)
