"""The index, as the rooms above use it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager

from sqlalchemy import Engine

from leadglass.index import inventory, labels, locate
from leadglass.index.inventory import Counts, Held
from leadglass.index.labels import Labelled
from leadglass.index.search import Found, Searcher
from leadglass.index.write import WriteTransaction, write_transaction
from leadglass.model.instance import StoredInstance
from leadglass.model.names import Uid
from leadglass.model.permit import Permit
from leadglass.model.query import Query, RetrieveKeys


class Index:
    """One index database. Safe to use from several threads; a ``WriteTransaction`` from one at a time.

    Each method takes a Permit and refuses one for a verb it does not serve. The promises and errors
    are those of the functions named alike.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._searcher = Searcher(engine)

    def transaction(self) -> AbstractContextManager[WriteTransaction]:
        """``write.write_transaction``."""
        return write_transaction(self._engine)

    def search(self, permit: Permit, query: Query, limit: int) -> Generator[Found]:
        """``search.Searcher.search``."""
        return self._searcher.search(permit, query, limit)

    def locate(self, permit: Permit, keys: RetrieveKeys) -> list[StoredInstance]:
        """``locate.locate``."""
        return locate.locate(self._engine, permit, keys)

    def labelled(
        self, permit: Permit, study_uid: Uid | None = None, label: str | None = None
    ) -> list[Labelled]:
        """``labels.labelled``."""
        return labels.labelled(self._engine, permit, study_uid, label)

    def inventory(self, permit: Permit) -> Iterator[Held]:
        """``inventory.inventory``."""
        return inventory.inventory(self._engine, permit)

    def counts(self, permit: Permit) -> Counts:
        """``inventory.counts``."""
        return inventory.counts(self._engine, permit)

    def segment_ends(self, permit: Permit) -> dict[str, int]:
        """``inventory.segment_ends``."""
        return inventory.segment_ends(self._engine, permit)

    def damage(self, permit: Permit) -> list[str]:
        """``inventory.damage``."""
        return inventory.damage(self._engine, permit)
