"""Which verbs each method of the index serves."""

from __future__ import annotations

from typing import Final

from leadglass.model.action import Verb
from leadglass.model.errors import NotPermitted
from leadglass.model.permit import Permit

MAY_WRITE: Final = frozenset({Verb.STORE})
MAY_ASK_EXISTENCE: Final = frozenset({Verb.STORE, Verb.COMMIT, Verb.OPERATE})
MAY_SEARCH: Final = frozenset({Verb.FIND, Verb.LIST})
MAY_LOCATE: Final = frozenset({Verb.GET, Verb.MOVE, Verb.VIEW})
MAY_INVENTORY: Final = frozenset({Verb.CHECK, Verb.KEYS, Verb.BACKUP, Verb.OPERATE})
MAY_NAME: Final = frozenset({Verb.CHECK})
MAY_DELETE: Final = frozenset({Verb.DELETE})
MAY_ERASE: Final = frozenset({Verb.DELETE, Verb.OPERATE})
MAY_COPY: Final = frozenset({Verb.BACKUP})
MAY_COUNT: Final = frozenset({Verb.STATUS, Verb.CHECK, Verb.KEYS, Verb.OPERATE})
MAY_LABEL: Final = frozenset({Verb.MANAGE, Verb.DELETE})


def require(permit: Permit, served: frozenset[Verb]) -> None:
    """Let pass only a permit for one of the verbs ``served``.

    Raises:
        NotPermitted: the permit is for something else.
    """
    if permit.action.verb not in served:
        raise NotPermitted(f"a permit to {permit.action.verb} does not serve here")
