"""One clinic for all tests with peers, with devices of every kind; and what is stored in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import studies
from tests.support.clinic import Clinic, open_clinic
from tests.support.dcmtk import Dcmtk, StoreScp, storescp
from tests.support.tls_tunnel import tls_tunnel


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """Tests that store into it take a ``studies.single`` of their own number."""
    with open_clinic(tmp_path_factory.mktemp("clinic")) as clinic:
        yield clinic


@pytest.fixture(scope="session")
def files(clinic: Clinic) -> dict[str, Path]:
    """Every named synthetic instance, stored by DCMTK over mutual TLS; by SOP Instance UID."""
    written = studies.write_all(clinic.site.folder / "studies")
    ran = clinic.scanner.store(written, "-xe").require()
    assert ran.statuses() == [0x0000] * len(written)
    return {path.stem: path for path in written}


@pytest.fixture(scope="session", params=["mtls", "plaintext"])
def retriever(request: pytest.FixtureRequest, clinic: Clinic) -> Iterator[Dcmtk]:
    """A workstation that gets and moves. DCMTK 3.6.7 does neither over TLS, so a tunnel does that."""
    if request.param == "plaintext":
        yield clinic.old_workstation
        return
    with tls_tunnel(clinic.ws1, clinic.site.tls_port) as port:
        yield clinic.behind_tunnel(port)


@pytest.fixture
def pacs2(clinic: Clinic, tmp_path: Path) -> Iterator[StoreScp]:
    """A destination in the plaintext zone."""
    with storescp(tmp_path / "pacs2", "PACS2", "+xa", port=clinic.pacs2_port) as running:
        yield running


@pytest.fixture
def pacs3(clinic: Clinic, tmp_path: Path) -> Iterator[StoreScp]:
    """A destination over mutual TLS."""
    folder = tmp_path / "pacs3"
    with storescp(folder, "PACS3", "+xa", credentials=clinic.pacs3, port=clinic.pacs3_port) as running:
        yield running


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for what comes back."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
