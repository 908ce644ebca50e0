"""Labels of studies, which the policy's rules may name."""

from __future__ import annotations

from leadglass.archive.recording import Recorder
from leadglass.index.index import Index
from leadglass.index.labels import Labelled
from leadglass.model.errors import NotFound, RequestInvalid
from leadglass.model.event import under
from leadglass.model.names import LABEL, Uid
from leadglass.model.permit import Permit


def put_label(permit: Permit, index: Index, recorder: Recorder, study: Uid, label: str) -> bool:
    """Put a label on a study; whether it did not bear it already.

    Raises:
        NotPermitted: the permit is not for managing.
        RequestInvalid: not a label.
        NotFound: no such study is served.
    """
    _check(label)
    with index.transaction() as transaction:
        if label in transaction.labels(permit, study):
            return False
        if not transaction.label_study(permit, study, label):
            raise NotFound(f"the archive serves no study {study}")
    _record(permit, recorder, "study.labelled", study, label)
    return True


def take_label(permit: Permit, index: Index, recorder: Recorder, study: Uid, label: str) -> None:
    """Take a label off a study.

    Raises:
        NotPermitted, RequestInvalid: as ``put_label``.
        NotFound: the study does not bear it.
    """
    _check(label)
    with index.transaction() as transaction:
        if not transaction.unlabel_study(permit, study, label):
            raise NotFound(f"no study {study} bears the label {label}")
    _record(permit, recorder, "study.unlabelled", study, label)


def list_labels(permit: Permit, index: Index, study: Uid | None, label: str | None) -> list[Labelled]:
    """Every study that bears a label, or only this one, or those with this label.

    Raises:
        NotPermitted: the permit is not for managing.
        RequestInvalid: not a label.
    """
    if label is not None:
        _check(label)
    return index.labelled(permit, study, label)


def _check(label: str) -> None:
    if not LABEL.fullmatch(label):
        raise RequestInvalid("a label has 1 to 64 letters, digits, dots, hyphens and underscores")


def _record(permit: Permit, recorder: Recorder, kind: str, study: Uid, label: str) -> None:
    recorder.note([under(permit, kind, reason=label, study=study)])
    recorder.flush()


__all__ = ["Labelled", "list_labels", "put_label", "take_label"]
