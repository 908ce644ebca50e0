"""What must be true of a caller before any condition is looked at, as a truth table over one small policy.

``identify``, ``proof`` and ``machines`` hold these for every rule. The tests run the table, and the
documentation prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from leadglass.model.action import Action, Verb
from leadglass.model.caller import Archive, Caller, CertificateFacts, Peer, Person, Transport
from leadglass.model.decision import Step

NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
SAMPLE: Final = f"""\
version = 1
[zones]
modalities = {{ cidr = ["10.20.1.0/24"], transport = "mtls" }}
theatre    = {{ cidr = ["10.20.1.64/28"], transport = "mtls" }}
legacy     = {{ cidr = ["10.20.9.0/28"], transport = "plain", review_by = 2027-01-31 }}
closed     = {{ cidr = ["10.20.8.0/28"], transport = "plain", review_by = 2026-01-31 }}
reading    = {{ cidr = ["10.20.3.0/24"], transport = ["mtls", "https"] }}
remote     = {{ cidr = ["0.0.0.0/0"], transport = "https" }}
[devices]
ct1    = {{ zone = "modalities", ae = ["CT1", "CT1Q"] }}
ct2    = {{ zone = "modalities", ae = ["CT2"] }}
mr1    = {{ zone = "modalities", ae = ["MR1"], ip = "10.20.1.9" }}
vendor = {{ zone = "modalities", ae = ["VENDOR"], fingerprint = "{"c" * 64}" }}
gone   = {{ zone = "modalities", ae = ["GONE"], revoked = 2026-01-01 }}
us1    = {{ zone = "legacy", ae = ["US1"], ip = "10.20.9.5" }}
us2    = {{ zone = "closed", ae = ["US2"], ip = "10.20.8.5" }}
ws1    = {{ zone = "reading", ae = ["WS1"], address = "10.20.3.11:11112" }}
[groups]
fleet = ["device:ct1", "device:mr1", "device:vendor", "device:gone", "device:us1", "device:us2"]
rads  = ["role:radiologist"]
[flows]
check   = {{ from = ["group:fleet"], to = "archive", can = ["echo"] }}
deliver = {{ from = ["archive"], to = "ws1", can = ["store"] }}
[grants]
look = {{ who = "rads", from = ["reading", "remote"], on = "any", can = ["list"] }}
"""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A row: somebody asks, and is let through or stopped at a step."""

    says: str
    caller: Caller
    action: Action
    stops_at: Step | None = None


def _certificate(device: str | None, sha256: str = "0" * 64) -> CertificateFacts:
    issued_here = device is not None
    return CertificateFacts(
        sha256,
        7,
        f"CN={device}",
        issued_here=issued_here,
        device=device,
        not_after=datetime(2027, 1, 1, tzinfo=UTC),
    )


_ECHO: Final = Action(Verb.ECHO)
_LIST: Final = Action(Verb.LIST)
_CT1: Final = Peer("10.20.1.5", Transport.MTLS, "dicom-tls", _certificate("ct1"), "CT1", "NORTH")
_US1: Final = Peer("10.20.9.5", Transport.PLAIN, "legacy", None, "US1", "NORTH")
_ALICE: Final = Person("alice", frozenset({"role:radiologist"}), "10.20.3.40", Transport.HTTPS, mfa=False)


def _as(device: str, title: str, address: str = "10.20.1.5") -> Peer:
    return replace(_CT1, certificate=_certificate(device), calling_ae=title, address=address)


TRUTH_TABLE: Final = {
    "zone": (
        Guarded("from an address of the zone", _CT1, _ECHO),
        Guarded("from no zone's address", replace(_CT1, address="192.0.2.7"), _ECHO, Step.ZONE),
        Guarded("from a smaller zone inside", replace(_CT1, address="10.20.1.70"), _ECHO, Step.DEVICE),
        Guarded(
            "from a zone whose review is overdue",
            replace(_US1, address="10.20.8.5", calling_ae="US2"),
            _ECHO,
            Step.ZONE,
        ),
        Guarded("no address at all", replace(_CT1, address="scanner"), _ECHO, Step.TCP),
    ),
    "transport": (
        Guarded(
            "in plaintext where the zone takes mtls",
            replace(_CT1, transport=Transport.PLAIN),
            _ECHO,
            Step.TRANSPORT,
        ),
        Guarded(
            "over mtls where the zone takes plaintext",
            replace(_CT1, address="10.20.9.5"),
            _ECHO,
            Step.TRANSPORT,
        ),
        Guarded(
            "a device over https",
            replace(_as("ws1", "WS1", "10.20.3.11"), transport=Transport.HTTPS),
            _ECHO,
            Step.DEVICE,
        ),
        Guarded("a person over https", _ALICE, _LIST),
        Guarded("a person over mtls", replace(_ALICE, transport=Transport.MTLS), _LIST, Step.TRANSPORT),
    ),
    "device": (
        Guarded("our certificate names it", _CT1, _ECHO),
        Guarded("our certificate names nobody that the policy knows", _as("ct9", "CT9"), _ECHO, Step.DEVICE),
        Guarded("no certificate", replace(_CT1, certificate=None), _ECHO, Step.DEVICE),
        Guarded(
            "a foreign certificate that it pins",
            replace(_CT1, certificate=_certificate(None, "c" * 64), calling_ae="VENDOR"),
            _ECHO,
        ),
        Guarded(
            "a foreign certificate that nobody pins",
            replace(_CT1, certificate=_certificate(None)),
            _ECHO,
            Step.DEVICE,
        ),
        Guarded(
            "a certificate that has ended",
            replace(_CT1, certificate=replace(_certificate("ct1"), trouble="it has expired")),
            _ECHO,
            Step.DEVICE,
        ),
        Guarded("it is revoked", _as("gone", "GONE"), _ECHO, Step.DEVICE),
    ),
    "pinned address": (
        Guarded("it has one, and is there", _as("mr1", "MR1", "10.20.1.9"), _ECHO),
        Guarded("it has one, and is elsewhere", _as("mr1", "MR1"), _ECHO, Step.DEVICE),
        Guarded("in plaintext, where it is all the proof there is", _US1, _ECHO),
        Guarded(
            "in plaintext, from the address beside", replace(_US1, address="10.20.9.6"), _ECHO, Step.DEVICE
        ),
    ),
    "AE title": (
        Guarded("another of its own", replace(_CT1, calling_ae="CT1Q"), _ECHO),
        Guarded("somebody else's", replace(_CT1, calling_ae="CT2"), _ECHO, Step.DEVICE),
        Guarded("somebody else's, in plaintext", replace(_US1, calling_ae="CT1"), _ECHO, Step.DEVICE),
        Guarded("none", replace(_CT1, calling_ae=None), _ECHO, Step.DEVICE),
        Guarded(
            "it calls another archive",
            replace(_CT1, called_ae="SOUTH", called_ae_known=False),
            _ECHO,
            Step.DEVICE,
        ),
    ),
    "group": (
        Guarded("a device of it", _CT1, _ECHO),
        Guarded("a device of the same zone, not of it", _as("ct2", "CT2"), _ECHO, Step.VERB),
        Guarded("a person with a role of it", _ALICE, _LIST),
        Guarded(
            "a person with another role", replace(_ALICE, roles=frozenset({"role:clerk"})), _LIST, Step.VERB
        ),
        Guarded(
            "from outside, without a second factor", replace(_ALICE, address="192.0.2.7"), _LIST, Step.DEVICE
        ),
        Guarded("from outside, with one", replace(_ALICE, address="192.0.2.7", mfa=True), _LIST),
    ),
    "target": (
        Guarded(
            "the archive sends to a device that a flow names", Archive("node1"), Action(Verb.STORE, "ws1")
        ),
        Guarded("the archive sends to another", Archive("node1"), Action(Verb.STORE, "ct1"), Step.DEVICE),
    ),
}
