"""``import``: another archive's configuration as a proposal for a policy, with a report on standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from leadglass.admin.importing.proposal import Proposal
from leadglass.admin.importing.take_over import import_dcm4chee, import_orthanc, write_proposal
from leadglass.app import permit_without_site
from leadglass.cli.output import Exit, JsonOption, leave, print_json, say, say_rows
from leadglass.identity.clock import SystemClock
from leadglass.model.action import Verb

app = typer.Typer(
    help="Make a policy of another archive's configuration, closed where that was open.",
    no_args_is_help=True,
)

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="A new file for the policy; standard output if left out."),
]


@app.command()
def orthanc(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="orthanc.json, or the folder with all its *.json.")
    ],
    out: Out = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Make a policy of an Orthanc's configuration. Needs no site, and puts nothing in force.

    Exit 6 if something could not be taken over.
    """
    proposal = import_orthanc(permit_without_site(Verb.STATUS), path, SystemClock().now())
    _hand_out(proposal, out, as_json=as_json)


@app.command("dcm4chee-ldif")
def dcm4chee_ldif(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="An LDIF export from 'cn=DICOM Configuration' downwards.")
    ],
    out: Out = None,
    as_json: JsonOption = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Make a policy of a dcm4chee archive's LDAP configuration. Needs no site, and puts nothing in force.

    Exit 6 if something could not be taken over.
    """
    proposal = import_dcm4chee(permit_without_site(Verb.STATUS), path, SystemClock().now())
    _hand_out(proposal, out, as_json=as_json)


def _hand_out(proposal: Proposal, out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        write_proposal(out, proposal)
    if as_json:
        print_json({"policy": proposal.text, "report": proposal.remarks})
    else:
        say_rows(
            ("where", "what", "outcome", "became", "why"),
            [(each.where, each.what, each.outcome, each.became, each.why) for each in proposal.remarks],
        )
        if out is None:
            sys.stdout.write(proposal.text)
    if out is not None:
        say(f"{out} is a proposal: read it, then zones check, zones diff and zones apply")
    if proposal.is_partial:
        leave(Exit.PARTLY_DONE)
