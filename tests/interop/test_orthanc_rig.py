"""The rig itself: two real Orthancs exchange a real file."""

from __future__ import annotations

from pathlib import Path

import pydicom

from tests.support.corpus import corpus_file
from tests.support.orthanc import RemoteModality, running_orthanc
from tests.support.peers import Peer, require_peer


def test_one_orthanc_stores_to_another(tmp_path: Path) -> None:
    require_peer(Peer.ORTHANC)
    sent = corpus_file("CT_small.dcm").path
    with running_orthanc(tmp_path / "b", ae="B") as there:
        nodes = {"there": RemoteModality("B", there.dicom_port)}
        with running_orthanc(tmp_path / "a", ae="A", modalities=nodes) as here:
            here.echo("there")
            instance = here.upload(sent)
            here.store_to("there", [instance])
        assert there.instances() == [instance]
        # Pixels only: DCMTK, inside Orthanc, drops data set trailing padding as it sends.
        assert pydicom.dcmread(sent).PixelData in there.file(instance)
