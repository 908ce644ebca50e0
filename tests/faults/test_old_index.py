"""An older copy of index.db is put back beside newer segments: nothing is destroyed, at any start."""

from __future__ import annotations

import shutil
from pathlib import Path

from leadglass.dataset.synthetic import SyntheticPatient
from tests.support.fault_journal import FaultJournal, add_scanner_and_desk
from tests.support.site import LiveSite, make_site
from tests.support.stored import store_acknowledged

BEFORE, AFTER, BESIDE = (
    SyntheticPatient(f"Old^{name}", name, "19700101", "O") for name in ("BEFORE", "AFTER", "BESIDE")
)
INDEX = ("index.db", "index.db-wal", "index.db-shm")


def kept(site: LiveSite, folder: Path) -> Path:
    """A copy of the index of a site that is not served."""
    folder.mkdir()
    for name in INDEX:
        if (site.home / name).exists():
            shutil.copy2(site.home / name, folder / name)
    return folder


def put_back(site: LiveSite, folder: Path) -> None:
    for name in INDEX:
        (site.home / name).unlink(missing_ok=True)
        if (folder / name).exists():
            shutil.copy2(folder / name, site.home / name)


def segments(site: LiveSite) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (site.home / "segments").glob("*.seg")}


def test_one_acknowledged_object_outlives_an_old_index_and_what_is_stored_beside_it(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    add_scanner_and_desk(site)
    before, after, beside = (
        FaultJournal(tmp_path / patient.patient_id, patient) for patient in (BEFORE, AFTER, BESIDE)
    )
    with site.served():
        store_acknowledged(site, before, 1, 3)
    older = kept(site, tmp_path / "older")
    with site.served():
        store_acknowledged(site, after, 100, 1)
    newest = kept(site, tmp_path / "newest")
    there = segments(site)
    put_back(site, older)
    with site.served() as server:
        assert "is index.db an old copy?" in server.text()
        store_acknowledged(site, beside, 200, 1)
    with site.served() as server:
        assert "is index.db an old copy?" in server.text()
        assert beside.require(site) == 1
    beside_it = segments(site)
    assert there.items() <= beside_it.items()
    put_back(site, newest)
    with site.served() as server:
        assert "is index.db an old copy?" in server.text()
        assert before.require(site) == 3
        assert after.require(site) == 1
    assert beside_it.items() <= segments(site).items()
