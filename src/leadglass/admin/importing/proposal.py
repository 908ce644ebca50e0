"""From what was found to the text of a policy that loads, and the report on how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from leadglass.admin.importing.found import Found, Outcome, Remark
from leadglass.admin.importing.judging import (
    MTLS_ZONE,
    OUTSIDE_ZONE,
    PLAIN_ZONE,
    Kept,
    LeftOut,
    judge,
)
from leadglass.admin.importing.rules import Rule, rules_of
from leadglass.admin.policy_text import EntryValue, entry_line
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid, LocalError
from leadglass.policy import check_policy
from leadglass.policy.model import VERSION
from leadglass.policy.network import Address
from leadglass.sitefile.toml_text import toml_comment, toml_string

REVIEW_AFTER = timedelta(days=90)
MAX_DEVICES = 1000
MAX_REFUSALS_TESTED = 200

_NOWHERE = "192.0.2.1"  # RFC 5737: documentation only, so no device of anybody's
_ZONES = ((PLAIN_ZONE, "plain"), (MTLS_ZONE, "mtls"), (OUTSIDE_ZONE, "mtls"))
_MAX_COMMENT_CHARACTERS = 400


class ProposalInvalid(LocalError):
    """What was made of a source does not load, being too large or by a fault here; nothing is handed out."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The text of a policy, and the report: a line for each thing of the source."""

    text: str
    remarks: tuple[Remark, ...]

    @property
    def is_partial(self) -> bool:
        """Whether something of the source is not in it."""
        return any(remark.outcome is Outcome.LEFT_OUT for remark in self.remarks)


def propose(found: Found, source: str, now: datetime) -> Proposal:
    """A policy that permits no more than the source said by name. ``source`` is the file's name.

    Every device is pinned to its address, and a zone holds those addresses alone. What was open because
    nobody had closed it is closed. The text is checked as any policy before it is handed out.

    Raises:
        ConfigurationInvalid: more than MAX_DEVICES devices.
        ProposalInvalid
    """
    if len(found.devices) > MAX_DEVICES:
        raise ConfigurationInvalid(f"{source} has more than {MAX_DEVICES} devices: split it")
    last_day = now.astimezone(UTC).date() + REVIEW_AFTER
    kept, left_out = judge(found.devices)
    rules = {device.name: tuple(rules_of(device, last_day)) for device in kept}
    lines = [
        *_head(found, source, now),
        *_zones(kept, left_out, last_day),
        *_devices(kept, left_out),
        *_flows(kept, rules),
        *_tests(kept),
    ]
    text = "\n".join(lines) + "\n"
    checked = check_policy(text, path="the proposal", now=now)
    if checked.policy is None or checked.failed_tests:
        wrong = "\n".join(map(str, (*checked.findings, *checked.failed_tests)))
        raise ProposalInvalid(f"the policy made of {source} does not load:\n{wrong}")
    remarks = (
        *found.remarks,
        *(remark for device in kept for remark in _remarks(device, rules[device.name])),
        *(Remark(e.found.where, e.found.what, Outcome.LEFT_OUT, "-", e.why) for e in left_out),
    )
    return Proposal(text, tuple(map(_printable, remarks)))


def _head(found: Found, source: str, now: datetime) -> Iterator[str]:
    yield _comment(f"A proposal, made of the {found.source} configuration {source} on {now:%Y-%m-%d}.")
    yield "# It permits what was permitted by name there, and echo. What was open to all is closed."
    yield "# Read it, complete it, then: leadglass zones check FILE, zones diff policy.toml FILE,"
    yield "# and zones apply FILE. Until then nothing of it is in force."
    yield f"version = {VERSION}"


def _zones(kept: Sequence[Kept], left_out: Sequence[LeftOut], last_day: date) -> Iterator[str]:
    yield ""
    yield "[zones]  # the addresses of the devices below, and no others"
    for zone, transport in _ZONES:
        addresses = {device.ip for device in kept if device.zone == zone}
        if not addresses and not any(each.zone == zone for each in left_out):
            continue
        cidr = tuple(f"{ip}/{ip.max_prefixlen}" for ip in sorted(addresses, key=_order))
        entry: dict[str, EntryValue] = {"cidr": cidr, "transport": transport}
        if zone == PLAIN_ZONE:
            entry["review_by"] = last_day
        yield entry_line(zone, entry)


def _order(ip: Address) -> tuple[int, int]:
    return ip.version, int(ip)


def _devices(kept: Sequence[Kept], left_out: Sequence[LeftOut]) -> Iterator[str]:
    yield ""
    yield "[devices]"
    for device in kept:
        yield _comment(f"{device.found.where} {device.found.what}")
        if device.zone != PLAIN_ZONE:
            command = f"leadglass device renew {device.name} --out FOLDER"
            yield f"# it needs a certificate: {command}, or the fingerprint of its own here"
        yield entry_line(device.name, _entry(device))
    for each in left_out:
        titles = tuple(each.found.titles)
        line = entry_line(each.name, {"zone": each.zone, "ae": titles, "ip": "ADDRESS"})
        yield _comment(f"LEFT OUT {each.found.where} {each.found.what}: {each.why}")
        yield _comment(f"then add its address to the zone, and here without the #: {line}")


def _entry(device: Kept) -> dict[str, EntryValue]:
    entry: dict[str, EntryValue] = {"zone": device.zone, "ae": device.titles, "ip": str(device.ip)}
    if device.address is not None:
        entry["address"] = str(device.address)
    for key, text in device.found.inventory.items():
        entry[key] = toml_comment(text)[:_MAX_COMMENT_CHARACTERS].strip()
    return entry


def _flows(kept: Sequence[Kept], rules: dict[str, tuple[Rule, ...]]) -> Iterator[str]:
    yield ""
    yield "[flows]"
    for device in kept:
        yield _comment(f"{device.found.where} {device.found.what}")
        if device.found.closed:
            yield f"# was open because nobody had closed it, and is not here: {_verbs(device.found.closed)}"
        for rule in rules[device.name]:
            yield entry_line(rule.name, rule.entry)


def _tests(kept: Sequence[Kept]) -> Iterator[str]:
    """A test is asked at every load, and costs more the more devices there are: so not one of each."""
    refused = [f"{d.name} {verb} archive" for d in kept for verb in sorted(d.found.refused)]
    questions = [
        *(f"internet {verb} archive" for verb in ("echo", "store", "find", "get", "move")),
        *(_from_elsewhere(device) for device in {device.zone: device for device in kept}.values()),
        *refused[:MAX_REFUSALS_TESTED],
    ]
    yield ""
    yield "[tests]  # run at every load; one failure refuses the change"
    yield "deny = ["
    yield from (f"    {toml_string(question)}," for question in questions)
    if len(refused) > MAX_REFUSALS_TESTED:
        yield f"    # and {len(refused) - MAX_REFUSALS_TESTED} more that the source refused by name"
    yield "]"


def _from_elsewhere(device: Kept) -> str:
    wrong = f"ip={_NOWHERE}" if device.zone == PLAIN_ZONE else "transport=plain"
    return f"{device.name} echo archive {wrong}"


def _remarks(device: Kept, rules: Iterable[Rule]) -> Iterator[Remark]:
    found = device.found
    became = ", ".join((f"devices.{device.name}", *(f"flows.{rule.name}" for rule in rules)))
    if found.closed:
        verbs = _verbs(found.closed)
        example = verbs.partition(",")[0]
        why = f"open by default, closed now: {verbs}; open one with: zones allow {device.name} {example}"
        yield Remark(found.where, found.what, Outcome.NARROWED, became, why)
    else:
        yield Remark(found.where, found.what, Outcome.TAKEN, became, "what it named")
    if found.port is not None and device.address is None:
        why = f"{found.port} is no port, so the archive cannot send to it"
        yield Remark(found.where, f"{found.what} port", Outcome.LEFT_OUT, "-", why)
    if found.deliveries and device.address is None:
        why = "it has no port to send to: add devices.NAME.address, and a flow from the archive"
        yield Remark(found.where, found.deliveries[0].what, Outcome.LEFT_OUT, "-", why)


def _printable(remark: Remark) -> Remark:
    """What a source says is not always text that can be printed, or encoded."""
    return replace(
        remark,
        where=toml_comment(remark.where),
        what=toml_comment(remark.what),
        became=toml_comment(remark.became),
        why=toml_comment(remark.why),
    )


def _verbs(verbs: frozenset[Verb]) -> str:
    return ", ".join(verb for verb in Verb if verb in verbs)


def _comment(text: str) -> str:
    return f"# {toml_comment(text)}"[: 2 * _MAX_COMMENT_CHARACTERS]
