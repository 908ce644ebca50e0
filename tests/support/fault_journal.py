"""One journal for every fault rig: what a client was told is stored, and the proof that it is.

The client writes SOP Instance UID and SHA-256 to its own file, and syncs it, after each success. After
the fault each of these must be found by C-FIND, come back by C-GET equal to the byte, and have its line
in the audit trail. What was sent and not acknowledged is there whole, or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.dataset.synthetic import SyntheticInstance, SyntheticPatient
from leadglass.model.query import Level
from leadglass.protocol.services import STUDY_ROOT_FIND
from leadglass.protocol.status import Status
from leadglass.protocol.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from tests.support.client import Client
from tests.support.hostile_data import CT_IMAGE
from tests.support.site import ARCHIVE_AE, LiveSite

SCANNER_AE, DESK_AE = "CT1", "DESK1"
FLOWS = (
    'scan = { from = ["ct1"], to = "archive", can = ["echo", "store"] }\n'
    'desk = { from = ["desk1"], to = "archive", can = ["find", "get"] }\n'
)


def add_scanner_and_desk(site: LiveSite) -> None:
    """Two devices of the plaintext zone, so that starting a client costs nothing."""
    site.add_device("ct1", "legacy", SCANNER_AE)
    site.add_device("desk1", "legacy", DESK_AE)
    site.edit_policy("\n[grants]", f"\n{FLOWS}\n[grants]")


@dataclass
class FaultJournal:
    """What one patient's scanner sent and was told. ``sent`` has the digest of everything, told or not."""

    path: Path
    patient: SyntheticPatient
    sent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._descriptor = os.open(self.path, flags, 0o600)

    def sending(self, instance: SyntheticInstance) -> None:
        """It is about to go out."""
        self.sent[instance.sop_instance] = hashlib.sha256(instance.dataset).hexdigest()

    def acknowledge(self, instance: SyntheticInstance) -> None:
        """The archive said success."""
        line = f"{instance.sop_instance} {self.sent[instance.sop_instance]}\n"
        os.write(self._descriptor, line.encode())
        os.fdatasync(self._descriptor)

    @property
    def acknowledged(self) -> dict[str, str]:
        """SHA-256 by SOP Instance UID, as the file has it."""
        lines = self.path.read_text(encoding="ascii").splitlines()
        return dict(line.split() for line in lines)

    def close(self) -> None:
        """Nothing more is sent."""
        os.close(self._descriptor)

    def require(self, site: LiveSite) -> int:
        """Ask the served site for everything; how many were acknowledged.

        Found by C-FIND and returned by C-GET: each that was acknowledged; and nothing that was not sent
        just so.
        """
        acknowledged = self.acknowledged
        got = _get_all(site, self.patient.patient_id)
        returned = {uid: hashlib.sha256(dataset).hexdigest() for uid, dataset in got.items()}
        lost = acknowledged.keys() - returned.keys()
        assert not lost, f"{len(lost)} acknowledged and lost: {sorted(lost)[:3]}"
        assert returned.items() <= self.sent.items(), "something came back that was not sent so"
        found = asyncio.run(_find_instances(site, self.patient.patient_id))
        assert found == returned.keys(), "C-FIND and C-GET do not agree"
        return len(acknowledged)


def require_recorded(site: LiveSite, journals: list[FaultJournal]) -> None:
    """Each that was acknowledged has its line in the audit trail."""
    recorded = {line.event.instance for line in site.audit("instance.stored", count=10_000_000)}
    for journal in journals:
        missing = journal.acknowledged.keys() - recorded
        assert not missing, f"{len(missing)} stored and not recorded: {sorted(missing)[:3]}"


def _get_all(site: LiveSite, patient_id: str) -> dict[str, bytes]:
    desk = Client(site.plain_port, DESK_AE, ARCHIVE_AE, None)
    got = desk.get_patient(patient_id, [(CT_IMAGE, EXPLICIT_VR_LITTLE_ENDIAN)])
    assert got.end.status == Status.SUCCESS, f"something is lost: C-GET ended with 0x{got.end.status:04X}"
    return {uid: each.dataset for uid, each in got.objects.items()}


async def _find_instances(site: LiveSite, patient_id: str) -> set[str]:
    """Every SOP Instance UID of a patient, by way of its studies and series."""
    desk = Client(site.plain_port, DESK_AE, ARCHIVE_AE, None)
    found: set[str] = set()
    async with await desk.open([(STUDY_ROOT_FIND, EXPLICIT_VR_LITTLE_ENDIAN)]) as requestor:

        async def ask(level: Level, wanted: str, *keys: tuple[str, str]) -> list[str]:
            exchange = requestor.find(
                STUDY_ROOT_FIND, lambda syntax: encode_identifier(level, [*keys, (wanted, "")], syntax)
            )
            answers = []
            async for reply in exchange:
                answers += [
                    element.text
                    for element in decode_answer(reply.dataset, EXPLICIT_VR_LITTLE_ENDIAN)
                    if element.keyword == wanted
                ]
            return answers

        for study in await ask(Level.STUDY, "StudyInstanceUID", ("PatientID", patient_id)):
            for series in await ask(Level.SERIES, "SeriesInstanceUID", ("StudyInstanceUID", study)):
                keys = (("StudyInstanceUID", study), ("SeriesInstanceUID", series))
                found.update(await ask(Level.IMAGE, "SOPInstanceUID", *keys))
    return found
