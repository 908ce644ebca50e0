"""Objects stored into a site without a network: through its own gate, ingest and committer."""

from __future__ import annotations

import os
from collections.abc import Sequence

from leadglass.app import Home, local_site, standing_policy
from leadglass.archive.ingest import Announced, Ingest
from leadglass.archive.jobs import Stored
from leadglass.dataset.header import Part, scan_header
from leadglass.dataset.record import instance_record
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.gate import Gate
from leadglass.model.caller import Peer, Transport
from leadglass.model.names import Uid
from leadglass.protocol.status import Status
from tests.support.archive_rig import LIMITS, Told
from tests.support.executors import InThisThread
from tests.support.fault_journal import SCANNER_AE, FaultJournal
from tests.support.hostile_data import CT_IMAGE, small
from tests.support.raw_peer import RawPeer, contexts_for
from tests.support.site import LEGACY_ADDRESS, LiveSite

SCANNER = Peer(LEGACY_ADDRESS, Transport.PLAIN, "legacy", None, "CT1", "NORTH")
FLOW = '\nscan = { from = ["ct1"], to = "archive", can = ["store"] }\n'


def store_in_process(live: LiveSite, items: Sequence[SyntheticInstance], *, again: bool = False) -> None:
    """Store them all, from a scanner that is added the first time."""
    if not again:
        live.add_device("ct1", "legacy", "CT1", makes=("CT",))
        live.edit_policy("\n[grants]", f"{FLOW}\n[grants]")
    home = Home(live.home)
    with local_site(home) as site:
        gate = Gate(standing_policy(home, site.clock)[0], site.committer, site.clock)
        ingest = Ingest(gate, site.store, site.committer, os.urandom, LIMITS, InThisThread())
        for item in items:
            told = Told()
            incoming = ingest.begin(
                Announced(SCANNER, "a", item.sop_class, item.sop_instance, item.transfer_syntax),
                lambda: None,
            )
            incoming.fragment(item.dataset)
            incoming.finish(told)
            assert told.result() is Stored.NEW


def study_of(item: SyntheticInstance) -> Uid:
    """The Study Instance UID in an object."""
    header = scan_header([item.dataset], item.transfer_syntax, LIMITS.header, Part.WHOLE)
    record = instance_record(
        header,
        sop_class=item.sop_class,
        sop_instance=item.sop_instance,
        transfer_syntax=item.transfer_syntax,
    )
    return record.study


def store_acknowledged(site: LiveSite, journal: FaultJournal, first: int, count: int) -> list[str]:
    """Store some objects over the network, each a study of its own; their Study Instance UIDs."""
    studies = []
    with RawPeer(site.plain_port) as peer:
        peer.open(SCANNER_AE, contexts_for(CT_IMAGE))
        for number in range(first, first + count):
            instance = small(number, patient=journal.patient)
            journal.sending(instance)
            assert peer.store(1, instance) == Status.SUCCESS
            journal.acknowledge(instance)
            studies.append(str(study_of(instance)))
    return studies
