"""The policy for the network's own firewalls."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from leadglass.admin.desk import require
from leadglass.admin.policy_files import read_policy_text
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit
from leadglass.policy import PolicyInvalid, check_policy
from leadglass.policy.render.dialects import RENDERERS, Dialect
from leadglass.policy.render.passages import passages_of
from leadglass.policy.render.words import Archive
from leadglass.sitefile import quoted
from leadglass.sitefile.settings import Listener

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """A policy file, the listeners it is for, the dialect; ``user`` is the server's account, or empty."""

    policy: Path
    listeners: Sequence[Listener]
    dialect: Dialect
    user: str = ""


def render_policy_for(permit: Permit, request: RenderRequest, now: datetime) -> str:
    """The text for the firewall.

    Raises:
        ConfigurationInvalid: the policy cannot be read or has errors, a listener has no fixed port, or the
            account has no such name.
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    if request.user and not _USER.fullmatch(request.user):
        raise ConfigurationInvalid(f"{quoted(request.user)} is no name of an account")
    for listener in request.listeners:
        if not listener.address.port:
            raise ConfigurationInvalid(f"listener {listener.name} has port 0: give it a fixed port first")
    checked = check_policy(read_policy_text(request.policy), path=str(request.policy), now=now)
    if checked.policy is None:
        raise PolicyInvalid(checked.findings)
    source = f"{request.policy.name} as of {now.astimezone(UTC):%Y-%m-%d}"
    passages = passages_of(checked.policy, request.listeners, now)
    return RENDERERS[request.dialect](passages, Archive(source, request.user))
