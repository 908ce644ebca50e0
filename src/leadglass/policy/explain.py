"""Answers a question in words with a whole decision, for the caller that has the best chance.

A named device is given an address in its zone (or its pinned one), its zone's transport, its
certificate and its first AE title; whatever the question says overrides that. ``learning:us1`` is
whoever calls from the address that is watched under that name.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_address

from leadglass.model.action import ARCHIVE, PERSON_VERBS, SITE, Action, Facts, Verb
from leadglass.model.caller import Archive, Caller, CertificateFacts, Peer, Person, Transport
from leadglass.model.decision import Decision
from leadglass.policy.addresses import NOWHERE, address_in
from leadglass.policy.climb import SEARCHES, out_of_reach
from leadglass.policy.engine import evaluate
from leadglass.policy.model import ANY, INTERNET, LEARNING_PREFIX, Device, Learning, Zone
from leadglass.policy.network import Address
from leadglass.policy.policy import Policy
from leadglass.policy.question import Identity, Question, QuestionInvalid
from leadglass.policy.scope import reaches
from leadglass.sitefile import quoted, suggest

# RFC 5737 and 3849: addresses that are kept for documentation, so nobody's own.
_STRANGERS = tuple(ip_address(text) for text in ("198.51.100.7", "192.0.2.7", "203.0.113.7", "2001:db8::7"))
_STRANGER = "STRANGER"
_BEST_FIRST = (Transport.MTLS, Transport.PLAIN)


def explain(policy: Policy, question: Question, now: datetime) -> Decision:
    """The decision on ``question`` at its own time, or at ``now``.

    A search is refused too where the question says what it is to find, and no rule reaches that.

    Raises:
        QuestionInvalid: it names somebody or something the policy does not define.
    """
    moment = _moment(policy, question, now)
    _check_names(policy, question)
    facts = facts_of(policy, question, now)
    action = Action(question.verb, _target(policy, question), facts)
    decision = evaluate(policy, _caller(policy, question, moment), action, moment)
    if decision.allowed and question.verb in SEARCHES and question.is_about_objects:
        return decision if reaches(decision.scope, facts) else out_of_reach(decision)
    return decision


def explain_store(policy: Policy, device: str, facts: Facts, now: datetime) -> Decision:
    """The decision on an object that a device of the policy would store now, coming as it should."""
    caller = _device(policy, Question(device, Verb.STORE, ARCHIVE), policy.devices[device], now)
    return evaluate(policy, caller, Action(Verb.STORE, ARCHIVE, facts), now)


def facts_of(policy: Policy, question: Question, now: datetime) -> Facts:
    """What a question says of the object; where it says no modality, one that the device makes."""
    modality = question.modality
    device = policy.devices.get(question.subject)
    if modality is None and device is not None and device.makes is not None:
        modality = min(device.makes.modalities, default=None)
    studied = None
    if question.age_days is not None:
        today = _moment(policy, question, now).astimezone(policy.time_zone).date()
        studied = today - timedelta(days=question.age_days)
    return Facts(
        modality=modality,
        sop_class=question.sop_class,
        labels=question.labels,
        study=question.study,
        study_date=studied,
        sender=question.sender,
        attributes=frozenset({question.show} if question.show else ()),
        identity=question.identity is Identity.KEPT,
        this_hour=question.used,
    )


def _moment(policy: Policy, question: Question, now: datetime) -> datetime:
    moment = question.at or now
    return moment.replace(tzinfo=policy.time_zone) if moment.tzinfo is None else moment


def _check_names(policy: Policy, question: Question) -> None:
    sender = question.sender
    if sender is not None and sender not in policy.devices:
        raise QuestionInvalid(f"unknown sender {quoted(sender)}; {suggest(sender, policy.devices)}")
    name = question.from_zone
    if name is not None and name not in policy.zones:
        raise QuestionInvalid(f"unknown zone {quoted(name)}; {suggest(name, policy.zones)}")


def _target(policy: Policy, question: Question) -> str:
    known = {ARCHIVE, SITE, ANY, *policy.devices}
    if question.target not in known:
        raise QuestionInvalid(f"unknown target {quoted(question.target)}; {suggest(question.target, known)}")
    return ARCHIVE if question.target == ANY else question.target


def _caller(policy: Policy, question: Question, moment: datetime) -> Caller:
    subject = question.subject
    if subject == ARCHIVE:
        return Archive(ARCHIVE)
    if subject == INTERNET:
        return _stranger(policy, question)
    if subject in policy.devices:
        return _device(policy, question, policy.devices[subject], moment)
    if subject in policy.groups:
        return _member(policy, question)
    learning = policy.learning.get(subject.removeprefix(LEARNING_PREFIX))
    if learning is not None and subject == learning.subject:
        return _watched(policy, question, learning, moment)
    watched = (each.subject for each in policy.learning.values())
    known = {ARCHIVE, INTERNET, *policy.devices, *policy.groups, *watched}
    raise QuestionInvalid(f"unknown caller {quoted(subject)}; {suggest(subject, known)}")


def _stranger(policy: Policy, question: Question) -> Caller:
    transport = question.transport or Transport.PLAIN
    held = [network for zone in policy.zones.values() for network in zone.networks if network.prefixlen]
    free = (address for address in _STRANGERS if not any(address in network for network in held))
    address = question.ip or str(next(free, _STRANGERS[0]))
    if question.verb in PERSON_VERBS:
        return Person(INTERNET, frozenset(), address, question.transport or Transport.HTTPS, question.mfa)
    return Peer(address, transport, "question", calling_ae=question.ae or _STRANGER)


def _device(policy: Policy, question: Question, device: Device, moment: datetime) -> Peer:
    zone = policy.zones[question.from_zone or device.zone]
    transport = question.transport or _best_transport(zone)
    return Peer(
        address=question.ip or str(_device_address(policy, question, device, zone, transport)),
        transport=transport,
        listener="question",
        certificate=_certificate(device, moment) if transport is Transport.MTLS else None,
        calling_ae=question.ae or device.ae[0],
    )


def _best_transport(zone: Zone) -> Transport:
    offered = (transport for transport in _BEST_FIRST if transport in zone.transports)
    return next(offered, Transport.MTLS)


def _watched(policy: Policy, question: Question, learning: Learning, moment: datetime) -> Peer:
    """A stranger at the watched address; over TLS with a certificate that nobody knows."""
    zone = policy.zones[question.from_zone or learning.zone]
    transport = question.transport or _best_transport(zone)
    elsewhere = address_in(policy, zone, transport) if question.from_zone else learning.ip
    foreign = CertificateFacts(
        "0" * 64, 1, "CN=foreign", issued_here=False, device=None, not_after=moment + timedelta(days=1)
    )
    return Peer(
        address=question.ip or str(elsewhere),
        transport=transport,
        listener="question",
        certificate=foreign if transport is Transport.MTLS else None,
        calling_ae=question.ae or _STRANGER,
    )


def _device_address(
    policy: Policy, question: Question, device: Device, zone: Zone, transport: Transport
) -> Address:
    if question.from_zone is None:
        if device.ip is not None:
            return device.ip
        if device.address is not None:
            return device.address.host
    return address_in(policy, zone, transport)


def _certificate(device: Device, moment: datetime) -> CertificateFacts:
    pinned = min(device.fingerprints, default=None)
    return CertificateFacts(
        sha256=pinned or "0" * 64,
        serial=1,
        subject=f"CN={device.name}",
        issued_here=pinned is None,
        device=device.name if pinned is None else None,
        not_after=moment + timedelta(days=1),
    )


def _member(policy: Policy, question: Question) -> Person:
    group, transport = question.subject, question.transport or Transport.HTTPS
    address = question.ip or str(_person_address(policy, question, transport))
    return Person(
        name=group,
        roles=policy.groups[group],
        address=address,
        transport=transport,
        mfa=question.mfa,
        reason="as asked" if question.reason else "",
        approved_by="somebody else" if question.approved else "",
    )


def _person_address(policy: Policy, question: Question, transport: Transport) -> Address:
    if question.from_zone is not None:
        return address_in(policy, policy.zones[question.from_zone], transport)
    granted = [
        policy.zones[name]
        for grant in policy.grants.values()
        if question.subject in grant.groups and question.verb in grant.can
        for name in grant.zones
    ]
    best = min(granted, key=lambda zone: (zone.is_remote, zone.name), default=None)
    return address_in(policy, best, transport) if best else NOWHERE
