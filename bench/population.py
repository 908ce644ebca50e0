"""Invented people and their studies, as many as are asked for: the same for every server and every size.

Study ``n`` is the same whatever the number of studies, so the first 5,000 of a million are those of an
archive of 5,000. Studies come in the order of their dates, two hundred a day at every size; two in five bring
a new patient, the others someone seen before. Surnames are unevenly common.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from leadglass.dataset.synthetic import synthetic_uid
from leadglass.model.names import Uid

STUDIES_A_DAY: Final = 200
FIRST_DAY: Final = date(2011, 1, 3)
FIRST_BIRTH: Final = date(1925, 1, 1)
BIRTH_DAYS: Final = 33_000


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SURNAMES: Final = _words(
    """
    Smith Jones Taylor Brown Williams Wilson Johnson Davies Robinson Wright Thompson Evans Walker White
    Roberts Green Hall Wood Jackson Clarke Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker
    Garcia Martinez Lopez Gonzalez Silva Santos Rossi Russo Ferrari Novak Nagy Kowalski Jensen Larsen
    """
)
STEMS: Final = _words(
    """
    Ander Bald Berg Black Brad Carl Chamber Cold Crom Dal Dunn East Ed Elm Fair Falk Gold Gren Grun Hald
    Hamm Hart Holm Hunt Ing Kell Kirk Lang Lind Lund Mald March Nor Oak Ost Park Peder Quin Rad Rose
    Ruth Sand Silver Stan Stein Strand Tal Thorn Und Val Ward Wester Whit Wolf York Zell Goldsmith
    Smithson
    """
)
ENDINGS: Final = _words(
    """
    son sen man mann berg stein ley ton ham field ford wood worth by croft dale den er feld gard hurst
    land lund mark mont mere more ner ow quist rup sby stad strom thal ther thorpe vall well wick
    """
)
GIVEN: Final = _words(
    """
    Anna Peter Maria Thomas Emma Jan Olga Paul Laura John Sofia Karl Julia Mark Helen David Clara Simon
    Ruth Daniel Alice Martin Eva James Nina George Lena Frank Irene Max Sarah Hugo Ingrid Leo Grace Otto
    """
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a study of a modality says of itself."""

    modality: str
    sop_class: Uid
    description: str
    body_part: str


KINDS: Final = tuple(
    Kind(modality, Uid(f"1.2.840.10008.5.1.4.1.1.{sop_class}"), description, body_part)
    for modality, sop_class, description, body_part in (
        ("CR", "1", "Chest PA", "CHEST"),
        ("CT", "2", "CT abdomen with contrast", "ABDOMEN"),
        ("US", "6.1", "Ultrasound thyroid", "NECK"),
        ("MR", "4", "MR head", "HEAD"),
        ("CR", "1", "Hand, two planes", "HAND"),
    )
)


@dataclass(frozen=True, slots=True)
class Person:
    """A patient. ``sex`` is F, M or O."""

    patient_id: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class Study:
    """One study of one series. ``patient`` is the number of its person."""

    number: int
    patient: int
    date: str
    time: str
    accession: str
    kind: Kind
    instances: int

    @property
    def study_uid(self) -> Uid:
        """Its Study Instance UID; from it nobody can tell how many others there are."""
        return synthetic_uid(f"study {self.number}")

    @property
    def series_uid(self) -> Uid:
        """Of its only series."""
        return synthetic_uid(f"series {self.number}")

    def sop_instance(self, image: int) -> Uid:
        """Of one of its images, from 1."""
        return synthetic_uid(f"instance {self.number}/{image}")


def patient_id(patient: int) -> str:
    """The Patient ID of that person."""
    return f"P{patient:07}"


def person(patient: int) -> Person:
    """That person."""
    chance = random.Random(patient)
    birth = FIRST_BIRTH + timedelta(days=chance.randrange(BIRTH_DAYS))
    middle = f"^{chance.choice('ABCDEFGHJKLMNPRSTW')}" if chance.random() < 0.3 else ""
    name = f"{_surname(chance)}^{chance.choice(GIVEN)}{middle}"
    return Person(patient_id(patient), name, birth.strftime("%Y%m%d"), chance.choice("FMFMFMO"))


def _surname(chance: random.Random) -> str:
    """One in twelve has a common one, the others one of some 2,400."""
    if chance.random() < 1 / 12:
        return SURNAMES[int(len(SURNAMES) * chance.random() ** 2)]
    return chance.choice(STEMS) + chance.choice(ENDINGS)


def people_among(studies: int) -> int:
    """How many people the first so many studies have."""
    return (2 * studies + 4) // 5


def studies_of(count: int) -> Iterator[Study]:
    """The first so many studies, in order."""
    chance = random.Random(0)
    for number in range(count):
        known = people_among(number)
        patient = known if people_among(number + 1) > known else chance.randrange(known)
        day = FIRST_DAY + timedelta(days=number // STUDIES_A_DAY)
        minute = 7 * 60 + number % STUDIES_A_DAY * 3
        yield Study(
            number=number,
            patient=patient,
            date=day.strftime("%Y%m%d"),
            time=f"{minute // 60:02}{minute % 60:02}{number % 60:02}",
            accession=f"A{number:08}",
            kind=KINDS[number % len(KINDS)],
            instances=1 + number % 2,
        )


def day_of(studies: int, chance: random.Random) -> str:
    """A day on which all two hundred studies were made."""
    return (FIRST_DAY + timedelta(days=chance.randrange(studies // STUDIES_A_DAY))).strftime("%Y%m%d")


@dataclass(frozen=True, slots=True)
class Totals:
    """What the first so many studies give each patient, by the number of the person."""

    studies: array[int]
    instances: array[int]


def totals(count: int) -> Totals:
    """Count before writing: a patient's row comes before the last of their studies is made."""
    people = people_among(count)
    made = Totals(array("l", bytes(8 * people)), array("l", bytes(8 * people)))
    for study in studies_of(count):
        made.studies[study.patient] += 1
        made.instances[study.patient] += study.instances
    return made


PATTERNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "beginning": "{surname:.5}*^{given:.2}*",
        "middle": "*{middle}*^{given}*",
        "one unknown": "{first}?{rest}^{given:.3}*",
    }
)


def wildcard(form: str, patient: int) -> str:
    """A pattern as a person at a workstation types it, that finds this patient among others."""
    surname, given, *_ = person(patient).name.split("^")
    return PATTERNS[form].format(
        surname=surname, given=given, middle=surname[1:5], first=surname[0], rest=surname[2:]
    )
