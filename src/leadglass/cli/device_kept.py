"""What was kept of a device while it was learned: served once it has a rule, or erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from leadglass.admin.device_learn import accepted_device
from leadglass.app import Site
from leadglass.archive.adoption import Adoption, Kept
from leadglass.cli.asking import ask_unless
from leadglass.cli.output import Exit, leave, print_fields, print_json, say
from leadglass.model.action import Verb
from leadglass.policy.model import LEARNING_PREFIX
from leadglass.use_cases import adopted, deleter_of, desk_of, learned_objects_of


def release_kept(site: Site, name: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Serve what was kept of a device, as far as its rule lets it store that. Exit 3 if some stays."""
    device = accepted_device(site.permit(Verb.MANAGE), desk_of(site), name)
    permit = site.permit(Verb.DELETE)
    kept = learned_objects_of(site).content(permit, device.sender)
    if not _wanted(kept, f"Serve {_sum(kept)} of {name}?", yes=yes, dry_run=dry_run, as_json=as_json):
        return
    result = adopted(site, permit, Adoption(name, device.sender, device.site, device.may_store))
    if result.repeated:  # what lies in the archive already
        deleter_of(site).erase(permit, lambda _done: True)
    if as_json:
        print_json(asdict(result))
    else:
        print_fields({what: str(objects) for what, objects in asdict(result).items()})
    if result.stay:
        say(
            f"{result.stay} stay apart: refused by its rule, in conflict with what is stored, or damaged;"
            f" leadglass device learn {name} --discard erases the refused and the damaged"
        )
        leave(Exit.FINDINGS)


def discard_kept(site: Site, name: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Erase what was kept of a device, for good."""
    permit, learned = site.permit(Verb.DELETE), learned_objects_of(site)
    sender = LEARNING_PREFIX + name
    kept = learned.content(permit, sender)
    question = f"Erase {_sum(kept)} of {name}? Nobody can read them again."
    if not _wanted(kept, question, yes=yes, dry_run=dry_run, as_json=as_json):
        return
    gone = learned.condemn(permit, sender)
    deleter_of(site).erase(permit, lambda _done: True)
    if as_json:
        print_json({"erased": gone})
    else:
        say(f"{gone} objects erased")


def _sum(kept: Sequence[Kept]) -> str:
    size_bytes = sum(each.stored.size_bytes for each in kept)
    return f"{len(kept)} objects ({size_bytes / (1 << 20):.1f} MiB)"


def _wanted(kept: Sequence[Kept], question: str, *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Whether there is something to do, and it is to be done."""
    if not kept or dry_run:
        if as_json:
            print_json({"kept": len(kept)})
        else:
            say(f"{_sum(kept)} are kept")
        return False
    ask_unless(question, yes=yes)
    return True
