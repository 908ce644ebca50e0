"""Labels of the studies that are served, as the administrator lists them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Engine, select

from leadglass.index.engine import reading
from leadglass.index.failures import database_failures
from leadglass.index.schema import study, study_label
from leadglass.index.verbs import MAY_LABEL, require
from leadglass.model.names import Uid
from leadglass.model.permit import Permit


@dataclass(frozen=True, slots=True)
class Labelled:
    """A study and the labels it bears, sorted; at least one."""

    study_uid: str
    labels: tuple[str, ...]


def labelled(
    engine: Engine, permit: Permit, study_uid: Uid | None = None, label: str | None = None
) -> list[Labelled]:
    """Every study that bears a label, by UID; or only this study, or those with this label.

    Raises:
        NotPermitted: the permit is for neither managing nor a deletion.
    """
    require(permit, MAY_LABEL)
    wanted = select(study.c.study_uid, study_label.c.label).join(study_label)
    if study_uid is not None:
        wanted = wanted.where(study.c.study_uid == study_uid)
    if label is not None:
        bearing = select(study_label.c.study).where(study_label.c.label == label)
        wanted = wanted.where(study.c.id.in_(bearing))
    with database_failures(), reading(engine).connect() as connection:
        rows = connection.execute(wanted.order_by(study.c.study_uid, study_label.c.label)).all()
    return [
        Labelled(uid, tuple(row.label for row in several))
        for uid, several in groupby(rows, lambda row: row.study_uid)
    ]
