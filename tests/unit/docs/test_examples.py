"""What the documentation shows, the code takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadglass.admin.importing.dcm4chee import read_dcm4chee
from leadglass.admin.importing.dcm4chee_archive import RESTRICTIONS
from leadglass.admin.importing.orthanc import read_orthanc
from leadglass.admin.importing.orthanc_modalities import VERBS
from leadglass.cli.output import Exit
from leadglass.model.decision import Step
from leadglass.policy.check import check_policy
from leadglass.policy.conditions.per_hour import HARVEST
from leadglass.policy.explain import explain
from leadglass.policy.question import parse_question
from leadglass.policy.reach import compare, reach
from leadglass.sitefile.settings import read_settings
from tests.support.imports import DCM4CHEE, ORTHANC

DOCS = Path(__file__).resolve().parents[3] / "docs"
NOW = datetime(2026, 11, 22, tzinfo=UTC)  # before the dates in the examples
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [body for found, body in FENCED.findall(text) if found == language]


def test_the_policy_of_the_reference_is_sound_and_passes_its_tests() -> None:
    policy, learning, _budgets, groups = examples("reference/policy.md", "toml")
    for text in (policy, policy + learning, policy + groups):
        checked = check_policy(text, path="policy.toml", now=NOW)
        assert checked.findings == ()
        assert checked.failed_tests == ()


def test_the_budgets_of_the_reference_are_sound() -> None:
    policy, _learning, budgets, _groups = examples("reference/policy.md", "toml")
    top, _, flows = budgets.partition("[flows]")
    version, _, zones = policy.partition("[flows]")[0].partition("[zones]")
    checked = check_policy(f"{version}{top}[zones]{zones}[flows]{flows}", path="policy.toml", now=NOW)
    assert checked.findings == ()
    assert checked.policy is not None
    assert checked.policy.flows["read"].harvest.patients == 400
    assert checked.policy.flows["deliver"].budget is not None


def test_the_flows_and_tests_without_identity_of_the_guide_hold() -> None:
    research, night, held = examples("how-to/release-without-identity.md", "toml")
    site = 'version = 1\n[zones]\nlan = { cidr = ["10.0.0.0/8"], transport = "mtls" }\n[devices]\n'
    site += 'lab = { zone = "lan", ae = ["LAB"] }\n'
    site += 'night = { zone = "lan", ae = ["NIGHT"], address = "10.0.0.9:11112" }\n'
    flows = research + night.removeprefix("[flows]\n")
    checked = check_policy(site + flows + held, path="policy.toml", now=NOW)
    assert checked.findings == ()
    assert checked.failed_tests == ()
    without = check_policy(site + flows.replace(', deid = "basic"', "") + held, path="policy.toml", now=NOW)
    assert len(without.failed_tests) == 2


def test_the_budget_of_the_guide_is_sound() -> None:
    text = (DOCS / "how-to/harvest-budgets.md").read_text(encoding="utf-8")
    indented, top = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    devices = '[zones]\nlan = { cidr = ["10.0.0.0/8"], transport = "mtls" }\n'
    devices += '[devices]\nrouter = { zone = "lan", ae = ["R"] }\n[flows]\n'
    checked = check_policy(f"{top}{devices}{indented.strip()}\n", path="policy.toml", now=NOW)
    assert checked.findings == ()
    assert checked.policy is not None
    assert checked.policy.flows["migrate"].harvest.patients == 20_000


def test_the_numbers_built_in_are_those_of_the_documentation() -> None:
    for page in ("how-to/harvest-budgets.md", "reference/policy.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert HARVEST.size_bytes is not None
        for number in (f"{HARVEST.patients:,}", f"{HARVEST.objects:,}", f"{HARVEST.size_bytes // 10**9} GB"):
            assert number in text


def test_the_plaintext_zone_of_the_guide_is_sound_and_passes_its_tests() -> None:
    _listener, policy = examples("how-to/old-device-in-a-plaintext-zone.md", "toml")
    checked = check_policy("version = 1\n" + policy, path="policy.toml", now=NOW)
    assert checked.findings == ()
    assert checked.failed_tests == ()


def test_an_overdue_review_reads_as_the_guide_says() -> None:
    _listener, policy = examples("how-to/old-device-in-a-plaintext-zone.md", "toml")
    checked = check_policy("version = 1\n" + policy, path="policy.toml", now=NOW)
    assert checked.policy is not None
    decision = explain(checked.policy, parse_question("us1 store modality=US at=2027-02-01"), NOW)
    assert decision.failed is not None
    assert "its review was due by 2027-01-31" in decision.failed.detail


def test_the_settings_of_the_reference_are_sound() -> None:
    (settings,) = examples("reference/leadglass-toml.md", "toml")
    assert set(read_settings(settings, path="leadglass.toml").listeners) == {"mtls", "legacy"}


def test_the_ladder_of_the_guide_has_every_step_in_order() -> None:
    text = (DOCS / "how-to/read-a-refusal.md").read_text(encoding="utf-8")
    table = text.partition("## The ladder")[2].partition("###")[0]
    steps = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert steps[1:] == [step.value for step in Step]


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_is_documented(code: Exit) -> None:
    assert f"| {code.value} |" in (DOCS / "reference/exit-codes.md").read_text(encoding="utf-8")


def test_the_guide_to_imports_has_every_setting_that_an_import_judges() -> None:
    text = (DOCS / "how-to/import-orthanc-dcm4chee.md").read_text(encoding="utf-8")
    judged = {
        *VERBS,
        *(remark.what.split()[-1] for remark in read_orthanc(ORTHANC).remarks if "." not in remark.what),
        *(remark.what.split()[-1] for remark in read_dcm4chee(DCM4CHEE).remarks if " dcm" in remark.what),
        *(attribute for attribute, _verbs, _why in RESTRICTIONS),
    }
    assert len(judged) > 20
    assert not [word for word in judged - {"settings"} if f"`{word}`" not in text]


def test_the_hospital_of_the_tutorial_is_what_its_page_says() -> None:
    page = "tutorials/zones-in-an-afternoon.md"
    (text,) = examples(page, "toml")
    checked = check_policy(text, path="policy.toml", now=NOW)
    assert checked.policy is not None
    assert (checked.findings, checked.failed_tests) == ((), ())
    shown = (DOCS / page).read_text(encoding="utf-8")
    for each in reach(checked.policy, NOW):
        row = next(line for line in shown.splitlines() if line.split()[:2] == [each.subject, each.target])
        assert each.circumstances in row
    empty = check_policy("version = 1", path="policy.toml", now=NOW).policy
    assert empty is not None
    opened = [str(each) for each in compare(empty, checked.policy, NOW).opened]
    assert len(opened) == 12
    assert all(line[2:] in opened for line in shown.splitlines() if line.startswith("+ "))
    for question in ("sono find archive", "ct-er find archive"):
        assert not explain(checked.policy, parse_question(question), NOW).allowed


def test_the_archive_of_the_tutorial_imports_as_its_page_says(tmp_path: Path) -> None:
    (text,) = examples("tutorials/zones-in-an-afternoon.md", "json")
    path = tmp_path / "orthanc.json"
    path.write_text(text, encoding="utf-8")
    found = read_orthanc(path)
    outcomes = {remark.what: remark.outcome.value for remark in found.remarks}
    assert outcomes["DicomAlwaysAllowStore"] == outcomes["DicomCheckModalityHost"] == "narrowed"
    assert len(found.devices) == 5
