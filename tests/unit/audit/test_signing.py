from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from leadglass.audit.signing import create_signer, open_signer
from leadglass.model.errors import KeyUnavailable, SiteExists


def test_a_key_comes_back_from_its_private_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    made = create_signer(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made.public_key.verify(open_signer(path).sign(b"message"), b"message")


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    create_signer(tmp_path / "audit.key")
    before = (tmp_path / "audit.key").read_bytes()
    with pytest.raises(SiteExists):
        create_signer(tmp_path / "audit.key")
    assert (tmp_path / "audit.key").read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable):
        create_signer(tmp_path / "nowhere" / "audit.key")
    with pytest.raises(KeyUnavailable):
        open_signer(tmp_path / "nowhere" / "audit.key")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    create_signer(path)
    path.chmod(0o640)
    with pytest.raises(KeyUnavailable, match="chmod 600"):
        open_signer(path)


def test_what_is_no_ed25519_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"not a key", other):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyUnavailable):
            open_signer(path)


def test_the_key_is_not_in_the_signer_s_repr(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(create_signer(tmp_path / "audit.key"))
