from __future__ import annotations

import pytest

from leadglass.sitefile import parse_socket_address


@pytest.mark.parametrize("text", ["127.0.0.1:2762", "[::1]:2762", "[2001:db8::1]:0"])
def test_address_prints_as_it_was_written(text: str) -> None:
    assert str(parse_socket_address(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", "::1:2762", "[127.0.0.1]:80", "scanner:104", "127.0.0.1:", "1.2.3:80", "1.2.3.400:80"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_socket_address(text)


def test_port_beyond_16_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="port 65536 is above 65535"):
        parse_socket_address("127.0.0.1:65536")
