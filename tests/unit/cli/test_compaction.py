"""``compact``: room comes back, and nothing that lives is lost, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.app import Home, Site, local_site
from leadglass.archive.check import Stage
from leadglass.archive.compaction import (
    READERS_GRACE,
    Compactor,
    Result,
    compact_all,
)
from leadglass.archive.deletion import Deleter, Subject
from leadglass.archive.retrieve import Retriever
from leadglass.cli.output import Exit
from leadglass.cli.running import serving_lock
from leadglass.dataset.convert import ConvertLimits
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.index.bin import Bin
from leadglass.index.places import Places
from leadglass.model.action import Verb
from leadglass.model.errors import IntegrityBroken, NotPermitted
from leadglass.model.names import Uid
from leadglass.model.permit import Permit, Release
from leadglass.model.query import Level, RetrieveKeys
from leadglass.storage.reader import ScannedRecord
from leadglass.use_cases import checker_of, compactor_of, deleter_of
from tests.support.archive_rig import LIMITS, ct_images
from tests.support.command_line import Leadglass
from tests.support.entries import permit as permit_to
from tests.support.site import LiveSite
from tests.support.storage import payload, sealed
from tests.support.stored import store_in_process, study_of

STUDY = study_of(ct_images(1)[0])
WHY = ("--reason", "asked by the patient")
NO_GRACE = timedelta()


@pytest.fixture
def items() -> list[SyntheticInstance]:
    return ct_images(4)


@pytest.fixture
def home(live: LiveSite, items: list[SyntheticInstance], leadglass: Leadglass) -> Path:
    """Four objects in one segment, three of them erased."""
    with_erased(live, leadglass, items, 3)
    return live.home


def with_erased(live: LiveSite, leadglass: Leadglass, items: list[SyntheticInstance], count: int) -> None:
    store_in_process(live, items)
    for item in items[:count]:
        leadglass("--home", live.home, "delete", "instance", item.sop_instance, *WHY, "--yes")
    leadglass("--home", live.home, "bin", "empty", "--study", STUDY, "--yes")


@dataclass(frozen=True, slots=True)
class Opened:
    """A site with what the tests ask."""

    site: Site
    compactor: Compactor
    permit: Permit


@contextmanager
def opened(home: Path) -> Iterator[Opened]:
    with local_site(Home(home)) as site:
        yield Opened(site, compactor_of(site), site.permit(Verb.DELETE))


def go_on(_length: int) -> bool:
    return True


def disk_bytes(home: Path) -> int:
    return sum(file.stat().st_size for file in (home / "segments").glob("*.seg"))


def require_sound(leadglass: Leadglass, home: Path, objects: int) -> None:
    checked = leadglass("--home", home, "check", "--json")
    assert (checked.code, checked.json["objects"]) == (Exit.OK, objects)
    assert checked.json["unacknowledged"] == 0


def test_room_comes_back_and_what_lives_is_served_from_its_new_place(
    leadglass: Leadglass, home: Path, live: LiveSite
) -> None:
    before = disk_bytes(home)
    [shown] = leadglass("--home", home, "compact", "--dry-run", "--json").json
    assert shown["result"] == "to do"
    assert disk_bytes(home) == before
    done = leadglass("--home", home, "compact", "--json")
    assert (done.code, done.json[0]["result"]) == (Exit.OK, "done")
    assert disk_bytes(home) == shown["live_bytes"] < before / 3
    require_sound(leadglass, home, 1)
    [line] = live.audit("segment.compacted")
    assert line.event.count == 1
    assert leadglass("--home", home, "compact", "--json").json == []


def test_a_segment_in_which_all_is_erased_is_removed(leadglass: Leadglass, home: Path) -> None:
    leadglass("--home", home, "delete", "study", STUDY, *WHY, "--yes")
    leadglass("--home", home, "bin", "empty", "--study", STUDY, "--yes")
    assert leadglass("--home", home, "compact").code == Exit.OK
    assert disk_bytes(home) == 0
    require_sound(leadglass, home, 0)


def test_what_lies_in_the_bin_is_kept_and_can_be_taken_back(
    leadglass: Leadglass, home: Path, items: list[SyntheticInstance]
) -> None:
    leadglass("--home", home, "delete", "study", STUDY, *WHY, "--yes")
    assert leadglass("--home", home, "compact", "--json").json[0]["result"] == "done"
    assert leadglass("--home", home, "bin", "restore", "--instance", items[3].sop_instance).code == Exit.OK
    require_sound(leadglass, home, 1)


def test_a_running_server_is_not_compacted_beside(leadglass: Leadglass, home: Path) -> None:
    before = disk_bytes(home)
    with serving_lock(Home(home)):
        assert leadglass("--home", home, "compact").code == Exit.ERROR
    assert disk_bytes(home) == before


def test_a_record_that_nobody_knows_is_never_dropped(leadglass: Leadglass, home: Path) -> None:
    with opened(home) as it, it.site.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM instance")  # an index that lost its memory
    before = disk_bytes(home)
    [shown] = leadglass("--home", home, "compact", "--json").json
    assert shown["result"].startswith("left")
    assert disk_bytes(home) == before


def test_readers_on_their_way_get_their_grace(leadglass: Leadglass, home: Path) -> None:
    before = disk_bytes(home)
    with opened(home) as it:
        [(candidate, result)] = compact_all(it.compactor, it.permit, READERS_GRACE, go_on)
        assert result is Result.DONE
        assert disk_bytes(home) > before  # both are there
        assert not it.compactor.settle(it.permit, READERS_GRACE)
        assert list(compact_all(it.compactor, it.permit, READERS_GRACE, go_on)) == []
        assert it.compactor.compact(it.permit, candidate, go_on) is Result.CHANGED
        assert it.compactor.settle(it.permit, NO_GRACE)
    assert disk_bytes(home) < before
    require_sound(leadglass, home, 1)


def test_who_looked_a_place_up_before_still_reads(home: Path) -> None:
    with opened(home) as it:
        keys = RetrieveKeys(Level.STUDY, None, (STUDY,), (), ())
        limits = ConvertLimits(100, LIMITS.header.inflate)
        retriever = Retriever(it.site.gate, it.site.index, it.site.store, "NORTH", limits, it.site.pseudonyms)
        get = permit_to(Verb.GET)
        [before] = it.site.index.locate(get, keys)
        expected = b"".join(retriever.read(get, before, before.transfer_syntax, Release.WHOLE))
        list(compact_all(it.compactor, it.permit, NO_GRACE, go_on))
        [after] = it.site.index.locate(get, keys)
        assert after.location.segment != before.location.segment
        assert b"".join(retriever.read(get, before, before.transfer_syntax, Release.WHOLE)) == expected


def test_a_check_during_which_a_segment_moves_finds_nothing_wrong(
    live: LiveSite, leadglass: Leadglass
) -> None:
    with_erased(live, leadglass, ct_images(6), 4)
    with opened(live.home) as it:
        done: list[object] = []

        def compacting(stage: Stage, _done: int, _total: int | None) -> None:
            if stage is Stage.OBJECTS and not done:  # after the first of two
                done.extend(compact_all(it.compactor, it.permit, NO_GRACE, go_on))

        report = checker_of(it.site).check(it.site.permit(Verb.CHECK), compacting)
    assert (len(done), report.objects, report.damages) == (1, 2, [])


def test_what_is_condemned_during_the_copy_does_not_outlive_its_key(leadglass: Leadglass, home: Path) -> None:
    before = disk_bytes(home)
    with opened(home) as it:
        deleter = deleter_of(it.site)
        deleter.delete(it.permit, Subject(Level.STUDY, Uid(STUDY)), "test")

        def condemn(_length: int) -> bool:
            assert deleter.condemn(it.permit, Uid(STUDY)) == 1
            return True

        [(_, result)] = compact_all(it.compactor, it.permit, NO_GRACE, condemn)
        assert result is Result.CHANGED
        assert disk_bytes(home) == before
        deleter.erase(it.permit, lambda _done: True)
    require_sound(leadglass, home, 0)


def keys_left(it: Opened) -> int:
    """Records in any segment, named or not, that a key still opens."""
    store = it.site.store
    return sum(
        isinstance(record, ScannedRecord) and not record.is_erased
        for info in store.segments(it.permit)
        for record in store.scan(it.permit, info.name)
    )


def condemn(it: Opened) -> Deleter:
    deleter = deleter_of(it.site)
    deleter.delete(it.permit, Subject(Level.STUDY, Uid(STUDY)), "test")
    assert deleter.condemn(it.permit, Uid(STUDY)) == 1
    return deleter


def test_what_is_erased_while_readers_have_their_grace_has_no_key_in_the_old_segment(home: Path) -> None:
    with opened(home) as it:
        list(compact_all(it.compactor, it.permit, READERS_GRACE, go_on))
        assert keys_left(it) == 2
        assert condemn(it).erase(it.permit, lambda _done: True) == 1
        assert keys_left(it) == 0
        assert not it.compactor.settle(it.permit, READERS_GRACE)  # others still read there


def test_what_is_erased_has_no_key_in_the_copy_of_a_compaction_that_was_broken_off(home: Path) -> None:
    def die(_length: int) -> bool:
        raise KeyboardInterrupt

    with opened(home) as it, pytest.raises(KeyboardInterrupt):
        list(compact_all(it.compactor, it.permit, NO_GRACE, die))
    with opened(home) as it:
        assert keys_left(it) == 2
        assert condemn(it).erase(it.permit, lambda _done: True) == 1
        assert keys_left(it) == 0


def test_an_old_segment_that_cannot_be_read_through_keeps_an_erasure_from_being_told(home: Path) -> None:
    with opened(home) as it:
        list(compact_all(it.compactor, it.permit, READERS_GRACE, go_on))
        begun = Places(it.site.engine).begun(it.permit)
        assert begun is not None
        with (home / "segments" / f"{begun.source}.seg").open("r+b") as file:
            file.write(b"rot")
        deleter = condemn(it)
        with pytest.raises(IntegrityBroken, match="no copy can be found"):
            deleter.erase(it.permit, lambda _done: True)
        assert len(Bin(it.site.engine).to_erase(it.permit, 10)) == 1
        assert it.compactor.settle(it.permit, NO_GRACE)
        assert deleter.erase(it.permit, lambda _done: True) == 1


def test_an_old_segment_that_is_gone_holds_no_copy(home: Path) -> None:
    with opened(home) as it:
        list(compact_all(it.compactor, it.permit, READERS_GRACE, go_on))
        begun = Places(it.site.engine).begun(it.permit)
        assert begun is not None
        (home / "segments" / f"{begun.source}.seg").unlink()
        assert condemn(it).erase(it.permit, lambda _done: True) == 1
        assert keys_left(it) == 0


@pytest.mark.parametrize("broken_off", ["while copying", "once moved"])
def test_broken_off_at_any_point_it_is_finished_later(
    leadglass: Leadglass, home: Path, broken_off: str
) -> None:
    moved = broken_off == "once moved"
    before = disk_bytes(home)

    def die(_length: int) -> bool:
        raise KeyboardInterrupt

    with opened(home) as it:
        if moved:
            list(compact_all(it.compactor, it.permit, READERS_GRACE, go_on))
        else:
            with pytest.raises(KeyboardInterrupt):
                list(compact_all(it.compactor, it.permit, READERS_GRACE, die))
        assert disk_bytes(home) > before
    with opened(home) as it:
        assert it.compactor.settle(it.permit, NO_GRACE)
    assert (disk_bytes(home) < before) == moved
    require_sound(leadglass, home, 1)


def test_stopped_between_batches_it_leaves_all_as_it_was(leadglass: Leadglass, home: Path) -> None:
    before = disk_bytes(home)
    with opened(home) as it:
        [(_, result)] = compact_all(it.compactor, it.permit, NO_GRACE, lambda _length: False)
        assert result is Result.CHANGED
    assert disk_bytes(home) == before
    require_sound(leadglass, home, 1)


def test_what_is_appended_to_is_left_alone(home: Path) -> None:
    with opened(home) as it:
        store = it.site.store
        [location] = store.append(it.permit, [sealed(1, payload(2000))])
        assert store.appending_to == location.segment
        assert location.segment not in {each.segment for each in it.compactor.candidates(it.permit)}
    with opened(home) as it:
        found = {each.segment: each.unknown for each in it.compactor.candidates(it.permit)}
        assert found[location.segment]


def test_nobody_else_may_ask(home: Path) -> None:
    with opened(home) as it:
        places = Places(it.site.engine)
        asked: list[Callable[[Permit], object]] = [places.known_bytes, places.begun, places.forget]
        for verb in set(Verb) - {Verb.DELETE, Verb.OPERATE}:
            for each in asked:
                with pytest.raises(NotPermitted):
                    each(permit_to(verb))
