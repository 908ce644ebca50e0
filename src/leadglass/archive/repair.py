"""What can be done about damage: set the damaged object aside, so that it can be sent again; count anew.

Nothing is deleted. A damaged object goes to the bin, where it stays until somebody empties the bin of its
study; its sender may send it again, and it is stored as new. Objects whose key is missing are left alone:
with the key they read as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from leadglass.archive.check import Broken, Miscount
from leadglass.archive.recording import Recorder
from leadglass.index.bin import Bin, Deletion
from leadglass.index.counters import Counters
from leadglass.model.clock import Clock
from leadglass.model.event import Outcome, under
from leadglass.model.names import Uid
from leadglass.model.permit import Permit

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def repair(
    permit: Permit, bin_: Bin, recorder: Recorder, clock: Clock, broken: Sequence[Broken]
) -> list[Uid]:
    """Set aside what ``check`` found damaged; the instances that were.

    Raises:
        NotPermitted: the permit is not for a deletion.
    """
    done = []
    for each in broken:
        deletion = Deletion(permit.who, f"damaged: {each.what}", clock.now(), NEVER)
        if bin_.set_aside(permit, each.instance, deletion):
            recorder.note(
                [under(permit, "instance.aside", Outcome.ALERT, reason=each.what, instance=each.instance)]
            )
            done.append(each.instance)
    recorder.flush()
    return done


def recount(permit: Permit, counters: Counters, recorder: Recorder, off: Sequence[Miscount]) -> int:
    """Recompute what the index keeps of numbers where ``check`` found it off; how many rows.

    Raises:
        NotPermitted: the permit is not for a deletion: a row with nothing below it goes.
    """
    rows = len({(each.level, each.row) for each in off})
    counters.mend(permit, off)
    recorder.note([under(permit, "index.recounted", reason=f"{rows} rows", count=rows)])
    recorder.flush()
    return rows
