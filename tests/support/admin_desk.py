"""What tests of administration share: a clock, a notebook for the trail, permits, a request."""

from __future__ import annotations

from datetime import datetime

from leadglass.admin.site import SiteRequest
from leadglass.model.action import SITE, Action, Verb
from leadglass.model.caller import LocalAdministrator, Transport
from leadglass.model.event import AuditEvent
from leadglass.model.permit import EVERYTHING, Permit, issue_permit
from leadglass.sitefile import Listener, parse_socket_address

ADMINISTRATOR = LocalAdministrator("root")


class HandClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return 0.0


class Notebook:
    """Keeps what was recorded."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def permit_to(verb: Verb, target: str = SITE) -> Permit:
    return issue_permit(
        ADMINISTRATOR, Action(verb, target), EVERYTHING, who=ADMINISTRATOR.user, rule="local administrator"
    )


def listener(name: str, address: str, transport: Transport) -> Listener:
    return Listener(name, parse_socket_address(address), transport)


REQUEST = SiteRequest(
    name="North Clinic",
    ae=("NORTH",),
    listeners=(
        listener("tls", "127.0.0.1:2762", Transport.MTLS),
        listener("legacy", "127.0.0.1:11112", Transport.PLAIN),
    ),
)
