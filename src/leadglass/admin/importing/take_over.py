"""The use cases: another archive's configuration becomes a proposal. Nothing of a site is read or changed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from leadglass.admin.desk import require
from leadglass.admin.importing.dcm4chee import read_dcm4chee
from leadglass.admin.importing.orthanc import read_orthanc
from leadglass.admin.importing.proposal import Proposal, propose
from leadglass.identity.files import SECRET_MODE, write_new
from leadglass.model.action import Verb
from leadglass.model.errors import ConfigurationInvalid
from leadglass.model.permit import Permit


def import_orthanc(permit: Permit, path: Path, now: datetime) -> Proposal:
    """A policy of an Orthanc's configuration file, or of a folder of them.

    Raises:
        SourceInvalid, ConfigurationInvalid, ProposalInvalid
        NotPermitted: ``permit`` is not for STATUS.
    """
    require(permit, Verb.STATUS)
    return propose(read_orthanc(path), path.name or str(path), now)


def import_dcm4chee(permit: Permit, path: Path, now: datetime) -> Proposal:
    """A policy of an LDIF export of a dcm4chee archive's LDAP tree. Raises as ``import_orthanc``."""
    require(permit, Verb.STATUS)
    return propose(read_dcm4chee(path), path.name, now)


def write_proposal(path: Path, proposal: Proposal) -> None:
    """Write the policy to a new file: never over one that is there, the site's own least of all.

    Raises:
        ConfigurationInvalid: it is there, or cannot be written.
    """
    try:
        write_new(path, proposal.text.encode(), SECRET_MODE)
    except FileExistsError:
        raise ConfigurationInvalid(f"{path} exists, and is not overwritten: name a new file") from None
    except OSError as error:
        raise ConfigurationInvalid(f"cannot write {path}: {error.strerror}") from error
