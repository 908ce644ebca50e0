"""Counters and sets of the levels above instances that went. See ``schema``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from leadglass.index.lists import json_list, read_json_list
from leadglass.index.schema import instance, patient, series, study, study_label


def recount(connection: Connection, series_ids: set[int], study_ids: set[int], patient_ids: set[int]) -> None:
    """Counters and sets of the levels above what went; levels that became empty go too."""
    for each in sorted(series_ids):
        classes = _distinct(connection, instance.c.sop_class, instance.c.series == each)
        if not classes:
            connection.execute(delete(series).where(series.c.id == each))
            continue
        count = select(func.count()).select_from(instance).where(instance.c.series == each)
        connection.execute(
            update(series)
            .where(series.c.id == each)
            .values(sop_classes=json_list(classes), instance_count=count.scalar_subquery())
        )
    for each in sorted(study_ids):
        _recount_study(connection, each)
    for each in sorted(patient_ids):
        totals = connection.execute(
            select(
                func.count(),
                func.coalesce(func.sum(study.c.series_count), 0),
                func.coalesce(func.sum(study.c.instance_count), 0),
            ).where(study.c.patient == each)
        ).one()
        if not totals[0]:
            connection.execute(delete(patient).where(patient.c.id == each))
            continue
        connection.execute(
            update(patient)
            .where(patient.c.id == each)
            .values(study_count=totals[0], series_count=totals[1], instance_count=totals[2])
        )


def _recount_study(connection: Connection, row: int) -> None:
    left = connection.execute(
        select(series.c.modality, series.c.sop_classes, series.c.instance_count).where(series.c.study == row)
    ).all()
    if not left:
        connection.execute(delete(study_label).where(study_label.c.study == row))
        connection.execute(delete(study).where(study.c.id == row))
        return
    classes = {sop_class for each in left for sop_class in read_json_list(each.sop_classes)}
    connection.execute(
        update(study)
        .where(study.c.id == row)
        .values(
            modalities=json_list(sorted({each.modality for each in left if each.modality})),
            sop_classes=json_list(sorted(classes)),
            series_count=len(left),
            instance_count=sum(each.instance_count for each in left),
        )
    )


def _distinct(connection: Connection, column: ColumnElement[Any], where: ColumnElement[bool]) -> list[str]:
    return sorted(connection.execute(select(column).distinct().where(where)).scalars())
