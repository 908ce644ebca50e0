"""What a dcm4chee archive itself lets others do, and sends to whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from leadglass.admin.importing.dcm4chee_tree import (
    AE,
    ANY_CLASS,
    ARCHIVE_DEVICE,
    EXPORT_RULE,
    EXPORTER,
    Tree,
    is_installed,
    verb_of,
)
from leadglass.admin.importing.found import Delivery, Outcome, Remark
from leadglass.admin.importing.ldif import Entry
from leadglass.model.action import MACHINE_VERBS, Verb
from leadglass.sitefile import quoted

_RULE_KNOWN = frozenset(
    {"objectclass", "cn", "dcmentity", "dcmduration", "dcmexporterid", "dcmproperty", "dicomdescription"}
)
_MODALITY = re.compile(r"Modality=([A-Z0-9_]{1,16}(?:\|[A-Z0-9_]{1,16}){0,31})")
RESTRICTIONS = (
    ("dcmAccessControlID", frozenset({Verb.FIND, Verb.GET, Verb.MOVE}), "it shows only some studies"),
    ("dcmStorePermissionServiceURL", frozenset({Verb.STORE}), "a service is asked before each store"),
    ("dcmStorePermissionServiceResponse", frozenset({Verb.STORE}), "a rule is asked before each store"),
)


@dataclass(frozen=True, slots=True)
class Door:
    """An AE of the archive: whom it lets in (empty: everybody), and what it offers them.

    ``guarded`` verbs have a condition there that a policy cannot hold, so none is granted.
    """

    title: str
    accepts: frozenset[str]
    offers: frozenset[str]
    guarded: frozenset[Verb]

    def lets_in(self, title: str) -> bool:
        """Whether an AE title may call it."""
        return not self.accepts or title in self.accepts

    def has(self, uid: str) -> bool:
        """Whether it offers a SOP class."""
        return uid in self.offers or ANY_CLASS in self.offers

    @property
    def verbs(self) -> frozenset[Verb]:
        """All it offers."""
        if ANY_CLASS in self.offers:
            return MACHINE_VERBS
        return frozenset(verb for uid in self.offers if (verb := verb_of(uid)) is not None)


def doors(tree: Tree, name: str) -> Iterator[Door | Remark]:
    """The archive's AEs that are in use, and what became of their settings; ``name`` is the file's."""
    archives = tree.of_class(ARCHIVE_DEVICE)
    if not archives:
        why = "there is no dcmArchiveDevice in it, so what it let others do is not known: no flows are made"
        yield Remark(name, "the archive", Outcome.LEFT_OUT, "-", why)
    for archive in archives:
        for ae in tree.below(archive, AE):
            where, what = f"{name}:{ae.line}", f"archive AE {quoted(ae.first('dicomAETitle'))}"
            if not (is_installed(archive) and is_installed(ae) and _accepts(ae)):
                yield Remark(where, what, Outcome.ELSEWHERE, "-", "it takes no associations")
                continue
            yield from _door(tree, archive, ae, where, what)


def _door(tree: Tree, archive: Entry, ae: Entry, where: str, what: str) -> Iterator[Door | Remark]:
    yield Remark(where, what, Outcome.ELSEWHERE, "ae of leadglass.toml", "if devices are to call it so still")
    accepts = frozenset(ae.all("dcmAcceptedCallingAETitle"))
    inner = f"{what} dcmAcceptedCallingAETitle"
    if accepts:
        yield Remark(where, inner, Outcome.TAKEN, "flows", "only who is on the list gets a flow")
    else:
        why = "the list is empty, which let everybody in; here only the devices below"
        yield Remark(where, inner, Outcome.NARROWED, "flows", why)
    if not _says_true(archive, ae, "dcmValidateCallingAEHostname"):
        why = "an AE title was let in from anywhere; here only from its own address"
        yield Remark(
            where, f"{what} dcmValidateCallingAEHostname", Outcome.NARROWED, "ip of every device", why
        )
    if not ae.all("dcmAcceptedMoveDestination"):
        why = "C-MOVE went to any AE; here a flow from the archive must permit it"
        yield Remark(where, f"{what} dcmAcceptedMoveDestination", Outcome.NARROWED, "-", why)
    if ae.all("dicomPreferredCallingAETitle"):
        why = "a preference, which keeps nobody out"
        yield Remark(where, f"{what} dicomPreferredCallingAETitle", Outcome.ELSEWHERE, "-", why)
    guarded: frozenset[Verb] = frozenset()
    for attribute, verbs, reason in RESTRICTIONS:
        if ae.all(attribute) or archive.all(attribute):
            guarded |= verbs
            why = f"{reason}, which no policy can hold: {', '.join(sorted(verbs))} are not granted"
            yield Remark(where, f"{what} {attribute}", Outcome.LEFT_OUT, "-", why)
    identity = ae.first("dcmUserIdentityNegotiation") or archive.first("dcmUserIdentityNegotiation")
    if identity.upper() == "REQUIRED":
        guarded = MACHINE_VERBS
        why = "it wants a user's name and password in each association, which is not known here: no flows"
        yield Remark(where, f"{what} dcmUserIdentityNegotiation", Outcome.LEFT_OUT, "-", why)
    yield Door(ae.first("dicomAETitle"), accepts, tree.capabilities(ae, "SCP"), guarded)


def _accepts(ae: Entry) -> bool:
    return ae.first("dicomAssociationAcceptor").upper() != "FALSE"


def _says_true(archive: Entry, ae: Entry, attribute: str) -> bool:
    return (ae.first(attribute) or archive.first(attribute)).upper() == "TRUE"


def deliveries(tree: Tree, name: str) -> Iterator[tuple[str, Delivery] | Remark]:
    """Whom the archive sends to by name, by their AE titles: move destinations and export rules."""
    for archive in tree.of_class(ARCHIVE_DEVICE):
        for ae in tree.below(archive, AE):
            title = ae.first("dicomAETitle")
            for destination in ae.all("dcmAcceptedMoveDestination"):
                yield destination, Delivery(f"dcmAcceptedMoveDestination of {quoted(title)}")
            for rule in tree.below(ae, EXPORT_RULE):
                where, what = f"{name}:{rule.line}", f"export rule {quoted(rule.first('cn'))}"
                why = f"it is about what {quoted(title)} received alone: write it as a flow from the archive"
                yield Remark(where, what, Outcome.LEFT_OUT, "-", why)
        exporters = {each.first("dcmExporterID"): each for each in tree.below(archive, EXPORTER)}
        used: set[str] = set()
        for rule in tree.below(archive, EXPORT_RULE):
            for exporter_id in rule.all("dcmExporterID"):
                used.add(exporter_id)
                yield _delivery(rule, exporters.get(exporter_id), name)
        for exporter_id in sorted(exporters.keys() - used):
            where, what = f"{name}:{exporters[exporter_id].line}", f"exporter {quoted(exporter_id)}"
            why = "no export rule uses it: people did; here: zones allow archive store NAME"
            yield Remark(where, what, Outcome.NARROWED, "no flow from the archive", why)


def _delivery(rule: Entry, exporter: Entry | None, name: str) -> tuple[str, Delivery] | Remark:
    where, what = f"{name}:{rule.line}", f"export rule {quoted(rule.first('cn'))}"
    scheme, _colon, title = (exporter.first("dcmURI") if exporter else "").partition(":")
    if scheme != "dicom" or not title:
        why = "it does not send to a DICOM AE"
        return Remark(where, what, Outcome.LEFT_OUT, "-", why)
    properties = rule.all("dcmProperty")
    modality = _MODALITY.fullmatch(properties[0]) if len(properties) == 1 else None
    if rule.attributes.keys() - _RULE_KNOWN or (properties and modality is None):
        why = "its conditions are others than one of Modality: write them as a flow from the archive"
        return Remark(where, what, Outcome.LEFT_OUT, "-", why)
    return title, Delivery(what, tuple(modality[1].split("|")) if modality else ())
