"""Callers who must get nothing, each refused at its rung, and the audit trail says which and why."""

from __future__ import annotations

import itertools
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leadglass.admin.desk import Desk
from leadglass.admin.devices import revoke_device
from leadglass.app import Home, local_site
from leadglass.dataset.synthetic import Modality
from leadglass.identity.authority import Authority, IssuedDevice
from leadglass.identity.clock import SystemClock
from leadglass.model.action import Verb
from leadglass.model.decision import Step
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.names import Uid
from leadglass.protocol.pdu import AssociateReject, ContextVerdict, PduType
from leadglass.protocol.reasons import CALLED_AE_NOT_RECOGNIZED, CALLING_AE_NOT_RECOGNIZED
from leadglass.protocol.services import STUDY_ROOT_FIND, VERIFICATION
from leadglass.protocol.status import Status
from tests.support.hostile_data import CT_IMAGE, MR_IMAGE, small
from tests.support.raw_peer import (
    DROPPED,
    RawPeer,
    Received,
    anonymous_tls,
    associate_request,
    client_tls,
    contexts_for,
    store_message,
)
from tests.support.site import Credentials, LiveSite, make_site
from tests.support.tls_site import HandClock
from tests.support.watched_site import WatchedSite, failed_rung, watched

PERMITTED_RANGE = "127.0.0.0/9"
OUTSIDE = "127.200.0.1"
READING_ROOM = "127.0.3.77"
REVOKED_WITHIN_S = 1.0
ECHO = contexts_for(VERIFICATION)


@dataclass(frozen=True, slots=True)
class Clinic:
    """A served site and the devices in it; two of them will be revoked."""

    site: WatchedSite
    lost: Credentials
    stolen: Credentials


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    site = make_site(tmp_path_factory.mktemp("site"))
    ct1 = site.add_device("ct1", "modalities", "CT1", makes=("CT", "SR"))
    lost = site.add_device("lost", "modalities", "LOST")
    stolen = site.add_device("stolen", "modalities", "STOLEN")
    site.add_device("us1", "legacy", "US1", makes=("US",))
    for zone in ("modalities", "legacy"):
        site.edit_policy(f'{zone} = {{ cidr = ["127.0.0.0/8"]', f'{zone} = {{ cidr = ["{PERMITTED_RANGE}"]')
    with watched(site, ct1) as served:
        yield Clinic(served, lost, stolen)


@pytest.fixture
def site(clinic: Clinic) -> WatchedSite:
    return clinic.site


@pytest.fixture
def address(numbers: Iterator[int]) -> str:
    """An address that nobody else calls from, so that its audit lines are this test's."""
    return f"127.64.0.{next(numbers)}"


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture(autouse=True)
def _unharmed(site: WatchedSite) -> Iterator[None]:
    yield
    site.require_unharmed()


def written(folder: Path, device: IssuedDevice, ca: Path) -> Credentials:
    """A certificate as files, with the CA that its owner trusts."""
    folder.mkdir()
    credentials = Credentials(folder)
    credentials.cert.write_bytes(device.cert_pem)
    credentials.key.write_bytes(device.key_pem or b"")
    credentials.ca.write_bytes(ca.read_bytes())
    return credentials


def rejection(answer: object) -> AssociateReject:
    """The A-ASSOCIATE-RJ that an answer must be. PS3.8 §9.3.4."""
    assert isinstance(answer, Received), answer
    assert answer.pdu_type == PduType.ASSOCIATE_RJ
    return AssociateReject(*answer.body[1:4])


def refused_at(event: AuditEvent, step: Step) -> str:
    """What the ladder says of the step that refused."""
    assert event.outcome is Outcome.DENIED
    rung = failed_rung(event)
    assert rung.step is step, event
    return rung.detail


def tls_is_refused(site: LiveSite, tls: ssl.SSLContext, source: str) -> bool:
    """Whether a caller gets no answer at all: with TLS 1.3 it learns so only when it reads."""
    try:
        with RawPeer(site.tls_port, tls=tls, source=source) as caller:
            return caller.associate("CT1", ECHO) is None
    except DROPPED:
        return True


def revoke(site: LiveSite, device: str) -> None:
    with local_site(Home(site.home)) as opened:
        desk = Desk(opened.home.policy, opened.authority, opened.gate)
        revoke_device(opened.permit(Verb.MANAGE), desk, device)


def test_without_a_client_certificate_tls_ends(site: WatchedSite, address: str) -> None:
    assert tls_is_refused(site.site, anonymous_tls(site.ct1), address)
    event = site.line("connection.refused", address=address)
    assert refused_at(event, Step.DEVICE) == "no client certificate"


def test_a_certificate_of_another_ca_is_refused_whatever_it_names(
    site: WatchedSite, address: str, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "keys", "North Clinic", ["127.0.0.1"], SystemClock())
    forged = written(tmp_path / "forged", other.issue_device("ct1"), site.ct1.ca)
    assert tls_is_refused(site.site, client_tls(forged), address)
    event = site.line("connection.refused", address=address)
    assert "was not issued by this site's CA" in refused_at(event, Step.DEVICE)
    assert "fingerprint" in event.fix


def test_an_expired_certificate_is_refused(site: WatchedSite, address: str, tmp_path: Path) -> None:
    then = HandClock(datetime.now(UTC) - timedelta(days=5 * 365))
    old = Authority.open(site.site.home / "keys", then).issue_device("ct1")
    assert tls_is_refused(site.site, client_tls(written(tmp_path / "old", old, site.ct1.ca)), address)
    event = site.line("connection.refused", address=address)
    detail = refused_at(event, Step.DEVICE)
    assert detail == f"certificate of device ct1 expired {old.not_after:%Y-%m-%d}"


def test_a_revoked_certificate_is_refused_within_a_second(clinic: Clinic, address: str) -> None:
    site, tls = clinic.site, client_tls(clinic.lost)
    revoke(site.site, "lost")
    deadline = time.monotonic() + REVOKED_WITHIN_S
    while not tls_is_refused(site.site, tls, address):
        assert time.monotonic() < deadline
    event = site.line("connection.refused", address=address)
    assert refused_at(event, Step.DEVICE) == "certificate of device lost was revoked"


def test_a_revocation_cuts_a_live_association_and_keeps_nothing_half_done(
    clinic: Clinic, address: str
) -> None:
    site, tls = clinic.site, client_tls(clinic.stolen)
    instance = small(next(site.numbers))
    with RawPeer(site.site.tls_port, tls=tls, source=address, timeout_s=REVOKED_WITHIN_S) as caller:
        caller.open("STOLEN", contexts_for(CT_IMAGE))
        whole = store_message(1, instance)
        caller.send(whole[: len(whole) // 2])
        revoke(site.site, "stolen")
        assert caller.is_dropped()
    event = site.line("association.cut", address=address)
    assert event.who == "stolen"
    assert "revoked" in refused_at(event, Step.DEVICE)
    assert instance.sop_instance not in site.instances()


def test_a_certificate_does_not_carry_anothers_ae_title(site: WatchedSite, address: str) -> None:
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as caller:
        assert rejection(caller.associate("US1", ECHO)) == CALLING_AE_NOT_RECOGNIZED
    event = site.line("association.refused", address=address)
    assert (event.calling_ae, event.who) == ("US1", "ct1")
    assert refused_at(event, Step.DEVICE) == 'AE title "US1" is not one of ct1\'s'


def test_an_unknown_called_ae_title_is_refused(site: WatchedSite, address: str) -> None:
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as caller:
        assert rejection(caller.associate("CT1", ECHO, called="SOUTH")) == CALLED_AE_NOT_RECOGNIZED
    event = site.line("association.refused", address=address)
    assert refused_at(event, Step.DEVICE) == 'it calls "SOUTH", which is not the archive\'s AE title'


def test_a_device_is_nobody_outside_of_every_zone(site: WatchedSite) -> None:
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=OUTSIDE) as caller:
        assert rejection(caller.associate("CT1", ECHO)) == CALLING_AE_NOT_RECOGNIZED
    event = site.line("association.refused", address=OUTSIDE)
    assert refused_at(event, Step.ZONE) == f"no zone holds {OUTSIDE} over mtls"


def test_a_stranger_in_plaintext_is_nobody_outside_of_every_zone(site: WatchedSite) -> None:
    with RawPeer(site.site.plain_port, source=OUTSIDE) as caller:
        assert rejection(caller.associate("US1", ECHO)) == CALLING_AE_NOT_RECOGNIZED
    event = site.line("association.refused", address=OUTSIDE, said="plain")
    assert refused_at(event, Step.ZONE) == f"no zone holds {OUTSIDE} over plain"


def test_a_device_in_anothers_zone_is_refused(site: WatchedSite) -> None:
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=READING_ROOM) as caller:
        assert rejection(caller.associate("CT1", ECHO)) == CALLING_AE_NOT_RECOGNIZED
    event = site.line("association.refused", address=READING_ROOM)
    assert refused_at(event, Step.DEVICE) == "ct1 belongs in zone modalities, not in reading"


def test_a_pinned_device_is_refused_from_another_address(site: WatchedSite, address: str) -> None:
    with RawPeer(site.site.plain_port, source=address) as caller:
        assert rejection(caller.associate("US1", ECHO)) == CALLING_AE_NOT_RECOGNIZED
    event = site.line("association.refused", address=address)
    assert (
        refused_at(event, Step.DEVICE)
        == f'AE title "US1" is us1\'s, which is pinned to 127.0.0.1, not {address}'
    )


@pytest.mark.parametrize(
    ("opening", "what"),
    [
        (associate_request("CT1", ECHO), "a DICOM A-ASSOCIATE-RQ"),
        (b"GET /studies HTTP/1.1\r\nHost: pacs\r\n\r\n", "an HTTP request, or text"),
    ],
    ids=["dicom", "http"],
)
def test_plaintext_into_the_tls_port_is_told_apart(
    site: WatchedSite, address: str, opening: bytes, what: str
) -> None:
    with RawPeer(site.site.tls_port, source=address) as caller:
        caller.send(opening)
        assert caller.is_dropped()
    event = site.line("connection.refused", address=address)
    assert refused_at(event, Step.TRANSPORT) == f"plaintext on a TLS listener: {what}"


def test_tls_into_the_plaintext_port_is_told(site: WatchedSite, address: str) -> None:
    with pytest.raises(DROPPED):
        RawPeer(site.site.plain_port, tls=site.ct1_tls, source=address)
    event = site.line("connection.refused", address=address)
    assert "a TLS ClientHello on a plaintext listener" in refused_at(event, Step.TRANSPORT)


def test_a_search_by_a_scanner_is_refused_at_negotiation(site: WatchedSite, address: str) -> None:
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as caller:
        accept = caller.open("CT1", contexts_for(STUDY_ROOT_FIND, VERIFICATION))
        verdicts = [context.result for context in accept.contexts]
        assert verdicts == [ContextVerdict.USER_REJECTED, ContextVerdict.ACCEPTED]
        assert caller.echo(3) == Status.SUCCESS
    event = site.line("operation.find", address=address)
    assert (event.who, event.verb, event.target) == ("ct1", Verb.FIND, "archive")
    assert refused_at(event, Step.VERB) == "no flow from ct1 to the archive allows find"
    assert "find" in event.fix


def test_a_message_on_a_refused_context_ends_the_association(site: WatchedSite, address: str) -> None:
    instance = small(next(site.numbers), Modality.MR)
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as caller:
        caller.open("CT1", contexts_for(VERIFICATION))
        caller.send(store_message(3, instance))
        assert caller.is_aborted()
    event = site.line("association.aborted", address=address)
    rung = failed_rung(event)
    assert (rung.step, rung.detail) == (Step.VERB, "a message on presentation context 3, never accepted")
    assert instance.sop_instance not in site.instances()


@pytest.mark.parametrize(
    ("sop_class", "modality"), [(MR_IMAGE, Modality.MR), (CT_IMAGE, Modality.MR)], ids=["honest", "disguised"]
)
def test_what_a_device_does_not_make_is_not_kept(
    site: WatchedSite, address: str, sop_class: Uid, modality: Modality
) -> None:
    """Modality (0008,0060) counts, whatever the SOP class."""
    made = small(next(site.numbers), modality)
    dataset = made.dataset.replace(MR_IMAGE.encode(), sop_class.encode())
    instance = replace(made, sop_class=sop_class, dataset=dataset)
    with RawPeer(site.site.tls_port, tls=site.ct1_tls, source=address) as caller:
        caller.open("CT1", contexts_for(sop_class, VERIFICATION))
        assert caller.store(1, instance) == Status.NOT_AUTHORIZED
        assert caller.echo(3) == Status.SUCCESS
    event = site.line("operation.store", address=address)
    assert "MR" in refused_at(event, Step.CONDITIONS)
    assert instance.sop_instance not in site.instances()


def test_an_empty_policy_lets_nobody_in(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    ct1 = site.add_device("ct1", "modalities", "CT1")
    site.add_device("us1", "legacy", "US1")
    (site.home / "policy.toml").write_text("version = 1\n", encoding="utf-8")
    with watched(site, ct1) as served:
        with RawPeer(site.tls_port, tls=served.ct1_tls) as caller:
            assert rejection(caller.associate("CT1", ECHO)) == CALLING_AE_NOT_RECOGNIZED
        with RawPeer(site.plain_port) as caller:
            assert rejection(caller.associate("US1", ECHO)) == CALLING_AE_NOT_RECOGNIZED
        for transport in ("mtls", "plain"):
            event = served.line("association.refused", address="127.0.0.1", said=transport)
            assert refused_at(event, Step.ZONE) == f"no zone holds 127.0.0.1 over {transport}"
        assert served.server.exit_code is None
        assert "Traceback" not in served.server.text()
