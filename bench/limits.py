"""What the machine itself can do, in the same run: no archive on it can be faster.

Each is a loop of the bare call, in this process or with one other on the loopback; figures are objects a
second for the two sizes that the stores have, so that they stand beside them.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LOOPS = 200
ANSWER_BYTES = 100


def machine_limits(folder: Path, size_bytes: int) -> dict[str, float]:
    """Objects of this size a second, by what is done to each."""
    content = os.urandom(size_bytes)
    return {
        "append and fdatasync": _rate(_appending(folder / "limit", content)),
        "TCP to a sink, and an answer": _over_tcp(content, lambda _: None),
        "receive, append, fdatasync, answer": _over_tcp(content, _appending(folder / "limit", content)),
        "SHA-256": _rate(lambda _: hashlib.sha256(content).digest()),
        "AES-256-GCM": _rate(lambda _: AESGCM(bytes(32)).encrypt(bytes(12), content, None)),
    }


def _rate(work: Callable[[int], object]) -> float:
    start = time.perf_counter()
    for number in range(LOOPS):
        work(number)
    return LOOPS / (time.perf_counter() - start)


def _appending(path: Path, content: bytes) -> Callable[[int], object]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    path.unlink()

    def append(number: int) -> None:
        os.pwrite(descriptor, content, number * len(content))
        os.fdatasync(descriptor)

    return append


def _over_tcp(content: bytes, work: Callable[[int], object]) -> float:
    """One connection, one object at a time, answered when the work is done."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_serve, args=(listener, len(content), work))
        server.start()
        with socket.create_connection(listener.getsockname()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def send(_number: int) -> None:
                client.sendall(content)
                client.recv(ANSWER_BYTES)

            rate = _rate(send)
        server.join()
    return rate


def _serve(listener: socket.socket, size_bytes: int, work: Callable[[int], object]) -> None:
    connection, _ = listener.accept()
    view = memoryview(bytearray(size_bytes))
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(LOOPS):
            received = 0
            while received < size_bytes:
                count = connection.recv_into(view[received:])
                if not count:
                    return
                received += count
            work(number)
            connection.send(bytes(ANSWER_BYTES))
