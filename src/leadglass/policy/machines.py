"""Decides for devices asking the archive, and for the archive sending to devices."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from leadglass.model.action import ARCHIVE, MACHINE_VERBS, Action, Verb
from leadglass.model.caller import Transport
from leadglass.model.decision import Decision, Rung, Step
from leadglass.policy.climb import try_rules
from leadglass.policy.condition import Asked, Condition
from leadglass.policy.fixes import flow_fix
from leadglass.policy.identity import Identity
from leadglass.policy.ladder import failed, not_for, passed, refuse, stopped
from leadglass.policy.model import OUTGOING_VERBS, Device, Zone
from leadglass.policy.policy import Policy
from leadglass.sitefile import nearest, quoted


def decide_incoming(policy: Policy, identity: Identity, action: Action, now: datetime) -> Decision:
    """A known device asks the archive."""
    device = identity.device
    if device is None or action.target != ARCHIVE or action.verb not in MACHINE_VERBS:
        return not_for(identity, action, "a device")
    rules = policy.lookup.incoming.get((device.name, action.verb), ())
    if not rules:
        rung = failed(Step.VERB, f"no flow from {device.name} to the archive allows {action.verb}")
        return refuse(identity, (rung,), None, flow_fix(device.name, ARCHIVE, action.verb, now))
    own: tuple[Condition, ...] = ()
    if action.verb is Verb.STORE and device.makes is not None:
        own = (device.makes,)
    facts = action.facts
    if action.verb is Verb.STORE and any(rule.reach.senders is not None for rule in rules):
        facts = replace(facts, sender=device.name)
    return try_rules(identity, rules, own, Asked(action.verb, now, facts))


def decide_outgoing(policy: Policy, identity: Identity, action: Action, now: datetime) -> Decision:
    """The archive sends to a device. The first rungs are then about the way to that device."""
    asked = Asked(action.verb, now, action.facts)
    device = policy.devices.get(action.target)
    if device is None:
        return _unknown_destination(policy, identity, action.target)
    way = _way(identity, device, policy.zones[device.zone], asked)
    if not way.is_known:
        return stopped(way)
    if action.verb not in OUTGOING_VERBS:
        return not_for(way, action, "the archive itself")
    rules = policy.lookup.outgoing.get((device.name, action.verb), ())
    if not rules:
        rung = failed(Step.VERB, f"no flow from the archive to {device.name} allows {action.verb}")
        return refuse(way, (rung,), None, flow_fix(ARCHIVE, device.name, action.verb, now))
    return try_rules(way, rules, (), asked)


def _unknown_destination(policy: Policy, identity: Identity, target: str) -> Decision:
    near = nearest(target, policy.devices)
    rung = failed(Step.ZONE, f"no device is named {quoted(target)}, so it lies in no zone")
    fix = f"did you mean {quoted(near)}?" if near else ""
    return stopped(replace(identity, rungs=(identity.rungs[0], rung), guard="unknown device", fix=fix))


def _way(identity: Identity, device: Device, zone: Zone, asked: Asked) -> Identity:
    """The guards that hold for a destination, as they hold for a caller."""

    def stop(step: Step, detail: str, guard: str, fix: str) -> Identity:
        return replace(identity, rungs=(*climbed, failed(step, detail)), guard=guard, fix=fix)

    climbed: tuple[Rung, ...] = identity.rungs[:1]
    review = zone.review.check(asked) if zone.review else None
    if review is not None and not review.ok:
        return stop(Step.ZONE, f"zone {zone.name} is closed: {review.detail}", "overdue review", review.fix)
    climbed += (passed(Step.ZONE, f"to {zone.name}"),)
    transports = sorted(zone.transports - {Transport.HTTPS})
    if not transports:
        return stop(Step.TRANSPORT, f"zone {zone.name} takes no DICOM", "transport", "")
    climbed += (passed(Step.TRANSPORT, transports[0]),)
    if device.revoked is not None:
        return stop(Step.DEVICE, f"{device.name} is revoked since {device.revoked}", "revoked", "")
    if device.address is None:
        fix = f"say where it listens: devices.{device.name}.address"
        return stop(Step.DEVICE, f"{device.name} has no address", "no address", fix)
    return replace(identity, rungs=(*climbed, passed(Step.DEVICE, f"{device.name} at {device.address}")))
