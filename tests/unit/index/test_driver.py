from __future__ import annotations

import pytest
from sqlalchemy import Dialect, Engine, bindparam, select, update
from sqlalchemy.dialects import registry

from leadglass.index.driver import Driver, Statement, Values, insertion
from leadglass.index.failures import database_failures
from leadglass.index.schema import study, study_label
from leadglass.model.errors import LocalError

LABELS = Statement(select(study_label.c.label).order_by(study_label.c.label))
OF_STUDY = Statement(select(study_label.c.label).where(study_label.c.study == bindparam("study")))
RELABEL = Statement(update(study_label).where(study_label.c.study == bindparam("row")), ("label",))


def add_label(driver: Driver, *labels: str) -> None:
    driver.run(
        Statement(study_label.insert(), ("study", "label")), [{"label": each, "study": 1} for each in labels]
    )


def test_values_go_where_they_are_named(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        driver = Driver(connection)
        add_label(driver, "a", "b")
        assert driver.rows(LABELS, {}) == [("a",), ("b",)]
        assert driver.rows(OF_STUDY, {"study": 2}) == []
        driver.run(RELABEL, [{"row": 2, "label": "z"}])
        assert driver.rows(LABELS, {}) == [("a",), ("b",)]
        connection.rollback()


def test_it_writes_into_the_transaction_of_its_connection(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.begin()
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        add_label(Driver(connection), "a")
        connection.rollback()
        assert Driver(connection).rows(LABELS, {}) == []


def test_what_the_driver_raises_is_named(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(LocalError), database_failures():
        add_label(Driver(connection), "of no study")


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_a_statement_serves_every_dialect(name: str) -> None:
    dialect: Dialect = registry.load(name)()
    values: Values = {"row": 1, "label": "a"}
    sql, parameters = RELABEL.compile(dialect)
    assert sql.startswith("UPDATE study_label SET label=")
    assert parameters(values) == (("a", 1) if dialect.positional else values)


def test_an_insertion_leaves_the_number_to_the_database(engine: Engine) -> None:
    sql, _ = insertion(study, study.c.id).compile(engine.dialect)
    assert sql.startswith("INSERT INTO study (patient,")
    assert sql.endswith("RETURNING id")
