"""One multi-frame object of 2 GB: how fast, in how much memory, and what a scanner waits beside it.

Printed beside it, in the same run: what the disk takes of such a file (written once, synced at the end)
and what the loopback carries, in pieces of the same size.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.generate import ct_study
from bench.leadglass import running_site
from bench.peers import Target
from bench.run import fresh, working_folder
from bench.sender import Instance, read_instance
from bench.wire import (
    A_DATA_SET,
    AFFECTED_SOP_CLASS,
    AFFECTED_SOP_INSTANCE,
    C_STORE_RQ,
    COMMAND_FIELD,
    MESSAGE_ID,
    P_DATA,
    PRIORITY,
    STATUS,
    SUCCESS,
    Association,
    Context,
    PeerFailedError,
    command_set,
    pdata,
)

MIB = 1 << 20
FRAGMENT_BYTES = 256 * 1024 - 6
PIXEL_DATA = struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 0)
PATIENT, SMALL_SIDE, SMALL_IMAGES = 70_000, 64, 4000
PAUSE_S = 0.01
SAMPLE_S = 0.02


@dataclass(slots=True)
class Watched:
    """What was seen while something ran: resident memory, and what each small store took."""

    resident_bytes: list[int] = field(default_factory=list)
    waits_ms: list[float] = field(default_factory=list)


def send_large(target: Target, model: Instance, size_bytes: int) -> float:
    """C-STORE an object of this size, made as it is sent; seconds.

    Raises:
        PeerFailedError: it was not stored.
    """
    header = model.dataset[: model.dataset.rindex(PIXEL_DATA)] + PIXEL_DATA + struct.pack("<I", size_bytes)
    pixels = os.urandom(FRAGMENT_BYTES)
    whole, rest = divmod(size_bytes, FRAGMENT_BYTES)
    with Association(target.endpoint, [Context(1, model.sop_class, (model.transfer_syntax,))]) as association:
        start = time.perf_counter()
        association.send(pdata(1, _command(model), b"", association.max_pdu))
        association.send(_p_data(header, last=False))
        full = _p_data(pixels, last=False)
        for _ in range(whole):
            association.send(full)
        association.send(_p_data(pixels[:rest], last=True))
        _need_success(association)
        return time.perf_counter() - start


def _command(instance: Instance) -> bytes:
    return command_set(
        {
            AFFECTED_SOP_CLASS: instance.sop_class,
            COMMAND_FIELD: C_STORE_RQ,
            MESSAGE_ID: 1,
            PRIORITY: 0,
            0x0800: A_DATA_SET,
            AFFECTED_SOP_INSTANCE: instance.sop_instance,
        }
    )


def _p_data(fragment: bytes, *, last: bool) -> bytes:
    head = struct.pack(">BxIIBB", P_DATA, len(fragment) + 6, len(fragment) + 2, 1, 2 if last else 0)
    return head + fragment


def _need_success(association: Association) -> None:
    status = association.read_message().number(STATUS)
    if status != SUCCESS:
        raise PeerFailedError(f"answered with 0x{status:04X}")


@contextmanager
def beside(target: Target, instances: Iterator[Instance]) -> Iterator[Watched]:
    """Meanwhile, another association stores small images, a hundred a second at most; memory is watched."""
    watched, over = Watched(), threading.Event()
    threads = [
        threading.Thread(target=_store_small, args=(target, instances, watched, over)),
        threading.Thread(target=_watch_memory, args=(target.pid, watched, over)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield watched
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _store_small(
    target: Target, instances: Iterator[Instance], watched: Watched, over: threading.Event
) -> None:
    first = next(instances)
    with Association(target.endpoint, [Context(1, first.sop_class, (first.transfer_syntax,))]) as association:
        for instance in instances:
            if over.wait(PAUSE_S):
                return
            message = pdata(1, _command(instance), instance.dataset, association.max_pdu)
            start = time.perf_counter()
            association.send(message)
            _need_success(association)
            watched.waits_ms.append(1000 * (time.perf_counter() - start))


def _watch_memory(pid: int, watched: Watched, over: threading.Event) -> None:
    while not over.wait(SAMPLE_S):
        watched.resident_bytes.append(resident_bytes(pid))


def resident_bytes(pid: int) -> int:
    """What a process holds in memory of its own. Linux, proc(5)."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def disk_seconds(folder: Path, size_bytes: int) -> float:
    """To write such a file and sync it."""
    piece = os.urandom(FRAGMENT_BYTES)
    path = folder / "limit"
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(size_bytes // len(piece)):
            file.write(piece)
        os.fdatasync(file.fileno())
    took_s = time.perf_counter() - start
    path.unlink()
    return took_s


def network_seconds(size_bytes: int) -> float:
    """To carry so much over the loopback to a sink."""
    piece = os.urandom(FRAGMENT_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = threading.Thread(target=_swallow, args=(listener,))
        sink.start()
        start = time.perf_counter()
        with socket.create_connection(listener.getsockname()) as client:
            for _ in range(size_bytes // len(piece)):
                client.sendall(piece)
        sink.join()
        return time.perf_counter() - start


def _swallow(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    room = memoryview(bytearray(FRAGMENT_BYTES))
    with connection:
        while connection.recv_into(room):
            pass


def percentile(waits_ms: Sequence[float], part: float) -> float:
    """The value below which this part of them lies."""
    return sorted(waits_ms)[min(len(waits_ms) - 1, int(part * len(waits_ms)))]


def measure(size_bytes: int, pick: Callable[[Target, Target], Target], folder: Path) -> list[str]:
    """One row: MB/s, ratio to the smaller limit, growth in MiB, and the waits beside it and alone."""
    model = read_instance(ct_study(folder / "model", patient=PATIENT, images=1)[0])
    small = ct_study(folder / "beside", patient=PATIENT + 1, images=SMALL_IMAGES, size=SMALL_SIDE)
    instances = map(read_instance, small)
    limit_s = max(disk_seconds(folder, size_bytes), network_seconds(size_bytes))
    with fresh(folder) as place, running_site(place) as site:
        target = pick(site.plain, site.mutual_tls)
        os.sync()
        with beside(target, instances) as alone:
            time.sleep(5)
        before_bytes = resident_bytes(target.pid)
        with beside(target, instances) as watched:
            took_s = send_large(target, model, size_bytes)
    return [
        f"{size_bytes / took_s / 1e6:,.0f}",
        f"{size_bytes / limit_s / 1e6:,.0f}",
        f"{limit_s / took_s:.2f} ×",
        f"{(max(watched.resident_bytes) - before_bytes) / MIB:.0f}",
        *(f"{statistics.median(each.waits_ms):.1f} / {percentile(each.waits_ms, 0.99):.1f}"
          for each in (alone, watched)),
    ]  # fmt: skip


def main() -> None:
    """Parse the command line, measure over both doors, print the table."""
    parser = argparse.ArgumentParser(description="One object of 2 GB, and a scanner beside it.")
    parser.add_argument("--mib", type=int, default=2000)
    options = parser.parse_args()
    table = Table(title=f"one object of {options.mib:,} MiB")
    columns = ("zone", "MB/s", "smaller limit, MB/s", "ratio", "memory grew by, MiB")
    for column in (*columns, "store alone: median / p99, ms", "beside it: median / p99, ms"):
        table.add_column(column, justify="right")
    for name, pick in (("plain", lambda plain, _: plain), ("all on", lambda _, mutual_tls: mutual_tls)):
        with working_folder() as folder:
            table.add_row(name, *measure(options.mib * MIB, pick, folder))
    Console().print(table)


if __name__ == "__main__":
    main()
