from __future__ import annotations

from collections.abc import Callable

import pytest

from leadglass.identity.revocation import Revocations, parse_crl
from leadglass.model.errors import ConfigurationInvalid
from tests.support.tls_site import Site


def test_reload_sees_each_change_once(site: Site) -> None:
    device = site.authority.issue_device("ct1")
    assert not site.revocations.reload_if_changed()
    assert not site.revocations.is_revoked(device.serial)
    site.authority.revoke_device("ct1")
    assert not site.revocations.is_revoked(device.serial)
    assert site.revocations.reload_if_changed()
    assert site.revocations.is_revoked(device.serial)
    assert not site.revocations.reload_if_changed()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN X509 CRL-----\nAAAA\n"])
def test_damaged_list_keeps_the_last_good_one(site: Site, content: bytes) -> None:
    device = site.authority.issue_device("ct1")
    site.authority.revoke_device("ct1")
    site.revocations.reload_if_changed()
    good = site.authority.crl_path.read_bytes()
    site.authority.crl_path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ConfigurationInvalid):
            site.revocations.reload_if_changed()
        assert site.revocations.is_revoked(device.serial)
    site.authority.crl_path.write_bytes(good)
    assert site.revocations.reload_if_changed()
    assert site.revocations.is_revoked(device.serial)


def test_missing_list_admits_nobody(site: Site) -> None:
    site.authority.crl_path.unlink()
    with pytest.raises(ConfigurationInvalid, match="cannot read"):
        Revocations(site.authority.crl_path, site.authority.ca)
    with pytest.raises(ConfigurationInvalid, match="cannot read"):
        site.revocations.reload_if_changed()


def test_list_of_another_ca_is_refused(site: Site, make_site: Callable[[str], Site]) -> None:
    other = make_site("other")
    foreign = other.authority.crl_path.read_bytes()
    with pytest.raises(ConfigurationInvalid, match="not signed by this site's CA"):
        parse_crl(foreign, site.authority.ca)
