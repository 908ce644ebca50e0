"""What the policy may weigh of an object that is to be stored."""

from __future__ import annotations

from leadglass.dataset.tags import STUDY_DATE
from leadglass.index.folding import fold_value, parse_date
from leadglass.model.action import Facts
from leadglass.model.instance import InstanceRecord


def facts_of_store(record: InstanceRecord) -> Facts:
    """The facts of one object, by its header."""
    return Facts(
        modality=record.modality or None,
        sop_class=record.sop_class,
        study=record.study,
        study_date=parse_date(fold_value("DA", record.attributes.get(STUDY_DATE, ""))),
    )
