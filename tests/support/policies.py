"""The example policy of the design, word for word, and callers to try it with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from leadglass.model.caller import CertificateFacts, Peer, Person, Transport
from leadglass.policy import Policy, load_policy

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

EXAMPLE = Path(__file__).with_name("example_policy.toml").read_text(encoding="utf-8")

CERTIFICATE = CertificateFacts("0" * 64, 7, "CN=ct1", issued_here=True, device="ct1", not_after=NOW)
CT1 = Peer("10.20.1.5", Transport.MTLS, "dicom-tls", CERTIFICATE, "CT1", "NORTH")
WS1 = Peer("10.20.3.11", Transport.MTLS, "dicom-tls", replace(CERTIFICATE, device="ws1"), "WS1", "NORTH")
US1 = Peer("10.20.9.5", Transport.PLAIN, "legacy", None, "LOGIQ", "NORTH")
ALICE = Person("alice", frozenset({"role:radiologist"}), "10.20.3.40", Transport.HTTPS, mfa=True)


def policy(text: str) -> Policy:
    """A policy that must load, as of NOW."""
    return load_policy(text, path="policy.toml", now=NOW)
