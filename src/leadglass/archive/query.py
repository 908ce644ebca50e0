"""Query: an identifier in, answers out, a few at a time. PS3.4 §C.4.1."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import islice

from leadglass.dataset.identifier import decode_identifier, encode_answer
from leadglass.dataset.tags import BY_TAG, UNIQUE_KEYS
from leadglass.gate import Gate
from leadglass.index.index import Index
from leadglass.index.search import Found
from leadglass.model.action import Action, Facts, Verb
from leadglass.model.caller import Peer
from leadglass.model.decision import Step
from leadglass.model.errors import LeadglassError, PeerError
from leadglass.model.event import AuditEvent, Outcome
from leadglass.model.names import AETitle, Uid
from leadglass.model.permit import Permit
from leadglass.model.query import DateTimeMatching, Match, Query, Root, Wildcard

ANSWERS_PER_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A C-FIND-RQ with its identifier. PS3.7 §9.3.2.1."""

    caller: Peer
    association: str
    root: Root
    identifier: bytes
    transfer_syntax: Uid
    date_times: DateTimeMatching = DateTimeMatching.SEPARATE


@dataclass(frozen=True, slots=True)
class Answer:
    """One encoded answer, and the index's number of the patient that it tells of."""

    patient: int
    identifier: bytes


class Finder:
    """Answers queries; one for the whole server."""

    def __init__(self, gate: Gate, index: Index, retrieve_ae: AETitle, max_answers: int) -> None:
        self._gate = gate
        self._index = index
        self._retrieve_ae = retrieve_ae
        self._max_answers = max_answers

    def begin(self, asked: Asked) -> Answers:
        """Ask the gate, then understand the identifier. Does not touch the disk.

        Raises:
            NotPermitted, IdentifierMismatch, DatasetInvalid, AuditFailed
        """
        permit = self._gate.permit(asked.caller, Action(Verb.FIND), association=asked.association)
        try:
            query = decode_identifier(asked.identifier, asked.transfer_syntax, asked.root, asked.date_times)
        except PeerError as error:
            ladder = self._gate.stopped_ladder(asked.caller, permit.action, Step.CONDITIONS, str(error))
            self._gate.record(replace(_ended(asked, permit, 0, str(error)), ladder=ladder))
            raise
        permit = self._permit_matching(asked, permit, query)
        rows = self._index.search(permit, query, self._max_answers)
        return Answers(self._gate, asked, permit, query, rows, self._retrieve_ae)

    def _permit_matching(self, asked: Asked, permit: Permit, query: Query) -> Permit:
        """Where rules show only some attributes: what those reach that show all that the query matches on.

        Raises:
            NotPermitted: there is none such.
        """
        if all(each.shows is None for each in permit.scope.alternatives):
            return permit
        facts = Facts(attributes=_matched_on(query))
        return self._gate.permit_part(
            asked.caller, Action(Verb.FIND, facts=facts), association=asked.association
        )


def _matched_on(query: Query) -> frozenset[str]:
    """What an answer tells even if it is empty, by keyword: what was matched on, and the level's own key."""
    matched = {tag for tag, match in query.matches if not _is_universal(match)}
    for both in query.combined:
        matched |= {both.date_tag, both.time_tag}
    matched.add(UNIQUE_KEYS[query.level])
    return frozenset(BY_TAG[tag].keyword for tag in matched if tag in BY_TAG)


def _is_universal(match: Match) -> bool:
    """Whether everything meets it. PS3.4 §C.2.2.2.3, §C.2.2.2.4."""
    return isinstance(match, Wildcard) and not match.pattern.strip("*")


class Answers:
    """The answers to one query. ``next_chunk`` blocks on the disk; ``close`` records the end.

    What ``next_chunk`` gives may go out as far as ``release`` lets it, which is for the gate's thread.
    """

    def __init__(
        self,
        gate: Gate,
        asked: Asked,
        permit: Permit,
        query: Query,
        rows: Generator[Found],
        retrieve_ae: AETitle,
    ) -> None:
        self._gate = gate
        self._asked = asked
        self._permit = permit
        self._query = query
        self._rows = rows
        self._retrieve_ae = retrieve_ae
        self._count = 0
        self._ended_by: LeadglassError | None = None
        self.at_end = False  # nothing comes after the last chunk given

    @property
    def all_keys_supported(self) -> bool:
        """Whether pending is 0xFF00; with keys that this archive cannot match it is 0xFF01."""
        return not self._query.unsupported

    def next_chunk(self) -> list[Answer]:
        """Up to 64 encoded answers.

        Raises:
            OutOfResources: more answers than the limit, all of which were given.
            NotPermitted: the last chunk given was not released whole.
            Others of ``index.search``, once the answers before have been given.
        """
        if self._ended_by is not None:
            raise self._ended_by
        chunk: list[Answer] = []
        try:
            for row in islice(self._rows, ANSWERS_PER_CHUNK):
                chunk.append(Answer(row.patient, self._encode(row)))  # noqa: PERF401  those before an error count
        except LeadglassError as error:
            if not chunk:
                raise
            self._ended_by = error
        else:
            self.at_end = len(chunk) < ANSWERS_PER_CHUNK
        return chunk

    def release(self, chunk: list[Answer]) -> list[bytes]:
        """Those of a chunk that may go out: as many as the caller's hour has room for the patients of."""
        revealed = self._gate.reveal(
            self._permit, [answer.patient for answer in chunk], association=self._asked.association
        )
        if revealed.refusal is not None:
            self._ended_by, self.at_end = revealed.refusal, False
        self._count += revealed.told
        return [answer.identifier for answer in chunk[: revealed.told]]

    def close(self, reason: str) -> None:
        """Read no more; record how many answers went out, and why no more if it ended early."""
        self._rows.close()
        self._gate.record(_ended(self._asked, self._permit, self._count, reason))

    def _encode(self, row: Found) -> bytes:
        return encode_answer(
            row.attributes,
            self._query,
            retrieve_ae=self._retrieve_ae,
            transfer_syntax=self._asked.transfer_syntax,
        )


def _ended(asked: Asked, permit: Permit, answers: int, reason: str) -> AuditEvent:
    """The line of a query's end: how many answers it had, and why no more if it ended early."""
    caller = asked.caller
    return AuditEvent(
        kind="query.answered",
        outcome=Outcome.FAILED if reason else Outcome.DONE,
        who=permit.who,
        zone=permit.zone,
        address=caller.address,
        transport=caller.transport,
        calling_ae=caller.calling_ae or "",
        called_ae=caller.called_ae or "",
        verb=Verb.FIND,
        target=permit.action.target,
        rule=permit.rule,
        association=asked.association,
        reason=reason,
        count=answers,
    )
