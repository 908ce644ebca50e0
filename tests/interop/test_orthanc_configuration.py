"""``import orthanc`` on what real Orthancs have and write themselves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from leadglass.admin.importing.commented_json import parse_commented_json
from leadglass.admin.importing.found import Outcome
from leadglass.admin.importing.orthanc import read_orthanc
from leadglass.admin.importing.proposal import propose
from tests.support.compiling import cannot
from tests.support.imports import NOW, policy_of
from tests.support.peers import Peer, require_peer

DEBIAN = Path("/etc/orthanc")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The configuration that Orthanc itself writes, every default in it."""
    orthanc = require_peer(Peer.ORTHANC)
    path = tmp_path / "orthanc.json"
    subprocess.run((orthanc, f"--config={path}"), check=True, capture_output=True, timeout=30)
    return path


def test_the_configuration_orthanc_writes_permits_nobody(written: Path) -> None:
    made = propose(read_orthanc(written), written.name, NOW)
    assert policy_of(made).devices == {}
    assert policy_of(made).flows == {}


def test_what_a_file_does_not_say_is_judged_as_orthancs_own_default(written: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("{}", encoding="utf-8")
    narrowed = [
        {r.what for r in read_orthanc(path).remarks if r.outcome is Outcome.NARROWED}
        for path in (written, empty)
    ]
    assert narrowed[0] == narrowed[1]
    assert "DicomAlwaysAllowStore" in narrowed[0]


def test_debians_folder_imports_whole() -> None:
    require_peer(Peer.ORTHANC)
    if not DEBIAN.is_dir():
        cannot("no /etc/orthanc here")
    if not all(_is_readable(path) for path in DEBIAN.glob("*.json")):
        cannot("/etc/orthanc/credentials.json is for root and orthanc alone")
    made = propose(read_orthanc(DEBIAN), DEBIAN.name, NOW)
    assert policy_of(made).flows == {}
    assert {remark.where.partition(":")[0] for remark in made.remarks} >= {"orthanc.json"}


def test_a_modality_that_orthanc_loads_is_the_device_it_means(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    shipped = parse_commented_json(text, written.name).value
    assert isinstance(shipped, dict)
    assert shipped["DicomModalities"].value == {}
    added = json.dumps({"AET": "CT1", "Host": "10.20.1.5", "Port": 104, "AllowStore": True})
    written.write_text(
        text.replace('"DicomModalities" : {', f'"DicomModalities" : {{ "ct1" : {added} ', 1), encoding="utf-8"
    )
    policy = policy_of(propose(read_orthanc(written), written.name, NOW))
    assert str(policy.devices["ct1"].address) == "10.20.1.5:104"
    assert policy.flows["in-ct1"].can == {"echo", "store"}


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except PermissionError:
        return False
    return True
