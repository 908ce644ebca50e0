"""One tree of errors. The type says whose fault it is; only shells translate them.

``public_message`` is all a stranger may read: never PHI, never the rule. The exception's own
text is for the administrator's log and carries no PHI either: refer to objects by UID.
"""

from __future__ import annotations

from typing import ClassVar


class LeadglassError(Exception):
    """Any failure that Leadglass names."""

    dimse_status: ClassVar[int] = 0x0110  # PS3.7 Annex C: processing failure
    http_status: ClassVar[int] = 500
    public_message: ClassVar[str] = "Processing failure."


class NotPermitted(LeadglassError):
    """The policy refused. The caller may not retry unchanged."""

    dimse_status = 0x0124
    http_status = 403
    public_message = "Not permitted."


class NotAdmitted(NotPermitted):
    """The policy refused the association itself.

    ``folded``: just this was recorded a moment ago, and the trail counts it there; no log need repeat it.
    """

    def __init__(self, reason: str, *, folded: bool = False) -> None:
        super().__init__(reason)
        self.folded = folded


class TooManyAssociations(NotAdmitted):
    """The device has all the associations that it may have at once; it may try again later."""


class PeerError(LeadglassError):
    """The peer sent something wrong."""

    dimse_status = 0xC000
    http_status = 400
    public_message = "Cannot understand."


class PeerProtocolError(PeerError):
    """The peer broke PS3.7 or PS3.8."""


class LimitExceeded(PeerError):
    """The peer asked for more than a limit allows."""

    public_message = "A limit was exceeded."


class DatasetInvalid(PeerError):
    """The data set cannot be parsed, or lacks what an archive needs."""


class DatasetMismatch(PeerError):
    """The data set contradicts the request that carried it. PS3.4 Table B.2-1."""

    dimse_status = 0xA900
    public_message = "Data set does not match SOP Class."


class InstanceInvalid(PeerError):
    """The request names no SOP instance: what stands there is not a UID. PS3.7 Annex C."""

    dimse_status = 0x0117
    public_message = "Invalid SOP Instance."


class IdentifierMismatch(PeerError):
    """A query identifier contradicts its SOP class. PS3.4 Table C.4-1."""

    dimse_status = 0xA900
    public_message = "Identifier does not match SOP Class."


class PatientAmbiguous(IdentifierMismatch):
    """A PatientID that several people bear, asked for without its issuer: whose is meant cannot be known."""

    public_message = "Ambiguous PatientID: give IssuerOfPatientID or StudyInstanceUID"  # LO: 64 characters


class MoveDestinationUnknown(LeadglassError):
    """The policy knows no device of that AE title to send to. PS3.4 Table C.4-2."""

    dimse_status = 0xA801
    http_status = 404
    public_message = "Move Destination unknown."


class ConversionImpossible(LeadglassError):
    """The stored transfer syntax cannot be converted to one the peer accepts."""

    dimse_status = 0xC000
    public_message = "No common transfer syntax."


class NotDeidentifiable(LeadglassError):
    """An object that may go out only without identity, and whose identity cannot be taken out of it."""

    dimse_status = 0x0124
    http_status = 403
    public_message = "Not permitted."


class NotFound(LeadglassError):
    """There is no such thing here, or none that the caller may know of."""

    http_status = 404
    public_message = "Not found."


class RequestInvalid(LeadglassError):
    """What was asked for cannot be understood, or lacks what it must have."""

    http_status = 400
    public_message = "Bad request."


class LocalProtocolError(LeadglassError):
    """Our own code asked the protocol for something its state forbids: a bug here."""


class LocalError(LeadglassError):
    """Our side cannot do the work now."""


class OutOfResources(LocalError):
    """No room or no budget: the peer may try again later."""

    dimse_status = 0xA700
    http_status = 507
    public_message = "Out of resources."


class HeldBack(LocalError):
    """A legal hold forbids it."""


class StorageFailed(OutOfResources):
    """Bytes could not be made durable."""


class DiskFailed(StorageFailed):
    """The disk did not do as it was told: asked again it may lie, so nothing is stored before a new start."""


class AuditFailed(OutOfResources):
    """The audit trail cannot be written, so nothing may happen."""


class IntegrityBroken(LocalError):
    """Stored bytes or the audit chain do not verify."""


class KeyUnavailable(LocalError):
    """A key that opens an object is missing."""


class ConfigurationInvalid(LocalError):
    """A file of the site is wrong; says which, where, and what to do."""


class SiteExists(ConfigurationInvalid):
    """init was asked to write over a site."""


class SiteInUse(LocalError):
    """Another process is in this site's folder, and what was asked for needs it alone."""


class AlreadyServing(SiteInUse):
    """Another process serves this site."""


class RemoteRefused(LeadglassError):
    """As a client: the peer refused, rejected or aborted."""


class TransportFailed(LeadglassError):
    """As a client: no connection, TLS failure, or the peer vanished."""
