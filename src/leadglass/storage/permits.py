"""The counter where every visitor of this room shows the gate's permit."""

from __future__ import annotations

from leadglass.model.permit import Permit


def require_permit(permit: object) -> None:
    """Refuse whoever has no permit, at run time too: the type checker does not see every caller.

    What the permit allows was judged by the gate and by the index, which knows the objects;
    this room knows only bytes.

    Raises:
        TypeError: not a permit.
    """
    if not isinstance(permit, Permit):
        raise TypeError("storage opens to a Permit only, and a Permit comes from the gate")
