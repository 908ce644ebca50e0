"""An index of a million studies, made in bulk: what C-FIND takes and how fast stores are, and at 5,000.

Written by the index's own tables and encoded by its own functions, without images behind it: everything
that a query reads is as it would be. `make million`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Shown
from sqlalchemy import Connection

from bench.generate import ct_study
from bench.leadglass import running_site
from bench.population import Study, day_of, patient_id, people_among, person, studies_of, totals, wildcard
from bench.queries import PATIENT_ID, Tag, asked
from bench.run import allow_many_sockets, fresh, progress_bar, working_folder
from bench.sender import read_instance, send
from bench.wire import EXPLICIT_LE, Endpoint
from leadglass.dataset import tags
from leadglass.index.attributes import encode_attributes
from leadglass.index.driver import Driver, insertion
from leadglass.index.engine import open_engine
from leadglass.index.folding import fold_name, fold_value
from leadglass.index.lists import json_list
from leadglass.index.migrate import migrate
from leadglass.index.schema import instance, patient, series, study
from leadglass.model.query import Level

AT_ONCE = 5_000
SMALL, MILLION = 5_000, 1_000_000
RECORD_BYTES = 9_000
SEGMENT = "01J00000000000000000000000"
PATIENT_NAME, STUDY_DATE = (0x0010, 0x0010), (0x0008, 0x0020)
INGEST_ROUNDS, INGEST_STUDIES, INGEST_IMAGES, INGEST_SIDE = 5, 4, 100, 64
FIRST_PATIENT = 50_000
FORMS = ("beginning", "middle", "one unknown")
Row = Mapping[str, str | int | bytearray | None]


@dataclass(frozen=True, slots=True)
class Timing:
    """What one kind of query took: milliseconds, and answers a query."""

    median_ms: float
    p99_ms: float
    answers: float


def fill(home: Path, count: int, progress: Progress) -> None:
    """Put so many studies into the index of a new site."""
    engine = open_engine(str(home / "index.db"), (home / "keys" / "index.key").read_bytes())
    task = progress.add_task(f"an index of {count:,} studies", total=count)
    migrate(engine)
    with engine.begin() as connection:
        built_after = [index for table in (patient, study, series, instance) for index in table.indexes]
        for index in built_after:
            index.drop(connection)
        write(connection, count, lambda done: progress.update(task, completed=done))
        for index in built_after:
            index.create(connection)
    engine.dispose()


def write(connection: Connection, count: int, written: Callable[[int], None]) -> None:
    """The rows of so many studies, on an empty index."""
    driver = Driver(connection)
    whole = totals(count)
    for start in range(0, people_among(count), AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, people_among(count)))
        driver.run(
            insertion(patient),
            [_patient(each, whole.studies[each], whole.instances[each]) for each in numbers],
        )
    for batch in _batches(studies_of(count)):
        driver.run(insertion(study), [_study(each) for each in batch])
        driver.run(insertion(series), [_series(each) for each in batch])
        driver.run(insertion(instance), [row for each in batch for row in _instances(each)])
        written(batch[-1].number + 1)


def measure(endpoint: Endpoint, count: int, queries: int) -> dict[str, Timing]:
    """Each kind of query, over one association."""
    chance = random.Random(1)
    people = [chance.randrange(people_among(count)) for _ in range(queries)]
    found = {
        "PatientID": _timed(endpoint, [{PATIENT_ID: patient_id(each)} for each in people]),
        "all studies of a day": _timed(
            endpoint, [{STUDY_DATE: day_of(count, chance)} for _ in range(max(1, queries // 10))]
        ),
    }
    for form in FORMS:
        keys = [{PATIENT_NAME: wildcard(form, each)} for each in people[: max(1, queries // 3)]]
        found[f"name: {form}"] = _timed(endpoint, keys)
    return found


def ingest_rates(endpoints: Mapping[int, Endpoint], folder: Path) -> dict[int, float]:
    """Small images a second over four associations, into each site in turn: medians."""
    rates: dict[int, list[float]] = {size: [] for size in endpoints}
    for number in range(INGEST_ROUNDS):
        instances = [
            read_instance(path)
            for patient in range(INGEST_STUDIES)
            for path in ct_study(
                folder / "ingest",
                patient=FIRST_PATIENT + number * INGEST_STUDIES + patient,
                images=INGEST_IMAGES,
                size=INGEST_SIDE,
            )
        ]
        for size, endpoint in endpoints.items():
            os.sync()
            rates[size].append(send(endpoint, instances, INGEST_STUDIES))
    return {size: statistics.median(each) for size, each in rates.items()}


def _timed(endpoint: Endpoint, several: Sequence[Mapping[Tag, str]]) -> Timing:
    took, answers = [], 0
    for seconds, number in asked(endpoint, several):
        took.append(seconds * 1000)
        answers += number
    took.sort()
    return Timing(statistics.median(took), took[int(len(took) * 0.99)], answers / len(took))


def _patient(number: int, studies: int, instances: int) -> Row:
    each = person(number)
    received = {
        tags.PATIENT_ID: each.patient_id,
        tags.PATIENT_NAME: each.name,
        tags.PATIENT_BIRTH_DATE: each.birth_date,
    }
    return {
        "patient_id": each.patient_id,
        "authority": "site:",
        "name_alphabetic": fold_name(each.name)[0],
        "name_ideographic": None,
        "name_phonetic": None,
        "birth_date": each.birth_date,
        "study_count": studies,
        "series_count": studies,
        "instance_count": instances,
        "attributes": encode_attributes(Level.PATIENT, received),
    }


def _study(each: Study) -> Row:
    received = {
        tags.STUDY_INSTANCE_UID: each.study_uid,
        tags.STUDY_DATE: each.date,
        tags.STUDY_TIME: each.time,
        tags.ACCESSION_NUMBER: each.accession,
        tags.STUDY_DESCRIPTION: each.kind.description,
    }
    return {
        "patient": each.patient + 1,
        "study_uid": each.study_uid,
        "site": "",
        "study_date": each.date,
        "study_time": fold_value("TM", each.time),
        "accession_number": each.accession,
        "modalities": json_list([each.kind.modality]),
        "sop_classes": json_list([each.kind.sop_class]),
        "series_count": 1,
        "instance_count": each.instances,
        "attributes": encode_attributes(Level.STUDY, received),
    }


def _series(each: Study) -> Row:
    received = {
        tags.SERIES_INSTANCE_UID: each.series_uid,
        tags.MODALITY: each.kind.modality,
        tags.SERIES_NUMBER: "1",
    }
    return {
        "study": each.number + 1,
        "series_uid": each.series_uid,
        "modality": each.kind.modality,
        "number": 1,
        "sop_classes": json_list([each.kind.sop_class]),
        "instance_count": each.instances,
        "attributes": encode_attributes(Level.SERIES, received),
    }


def _instances(each: Study) -> Iterator[Row]:
    for image in range(1, each.instances + 1):
        uid = each.sop_instance(image)
        digest = hashlib.sha256(uid.encode()).digest()
        yield {
            "series": each.number + 1,
            "sop_instance": uid,
            "sop_class": each.kind.sop_class,
            "transfer_syntax": EXPLICIT_LE,
            "number": image,
            "object_id": bytearray(digest[:16]),
            "segment": SEGMENT,
            "offset": (each.number * 2 + image) * RECORD_BYTES,
            "length": RECORD_BYTES,
            "size_bytes": RECORD_BYTES,
            "sha256": bytearray(digest),
            "received_at_us": each.number,
            "received_from": "bench",
            "attributes": encode_attributes(Level.IMAGE, {tags.INSTANCE_NUMBER: str(image)}),
        }


def _batches(studies: Iterator[Study]) -> Iterator[list[Study]]:
    batch: list[Study] = []
    for each in studies:
        batch.append(each)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def show(small: Mapping[str, Timing], large: Mapping[str, Timing], sizes: tuple[int, int]) -> Shown:
    """Both sizes side by side."""
    table = Shown(title="C-FIND, milliseconds a query: median / p99 (answers)")
    for column in ("query", *(f"{size:,} studies" for size in sizes), "ratio of medians"):
        table.add_column(column)
    for name, few in small.items():
        many = large[name]
        cells = (f"{each.median_ms:.2f} / {each.p99_ms:.1f} ({each.answers:.1f})" for each in (few, many))
        table.add_row(name, *cells, f"{many.median_ms / few.median_ms:.2f}")
    return table


def main() -> None:
    """Make both indexes, serve both, ask both in turn, store into both, print what was found."""
    parser = argparse.ArgumentParser(description="C-FIND and C-STORE at 5,000 and at a million studies.")
    parser.add_argument("--studies", type=int, default=MILLION)
    parser.add_argument("--queries", type=int, default=600)
    options = parser.parse_args()
    console = Console()
    allow_many_sockets()
    with working_folder() as folder, fresh(folder) as place, ExitStack() as stack:
        endpoints = {}
        with progress_bar(console) as progress:
            for size in (SMALL, options.studies):
                started = time.monotonic()
                prepared = partial(fill, count=size, progress=progress)
                site = stack.enter_context(running_site(place / str(size), prepared))
                endpoints[size] = site.plain.endpoint
                console.print(f"{size:,} studies: ready after {time.monotonic() - started:.0f} s")
        small = measure(endpoints[SMALL], SMALL, options.queries)
        large = measure(endpoints[options.studies], options.studies, options.queries)
        rates = ingest_rates(endpoints, place)
    console.print(show(small, large, (SMALL, options.studies)))
    for size, rate in rates.items():
        console.print(f"stored a second, small images, at {size:,} studies: {rate:,.0f}")


if __name__ == "__main__":
    main()
