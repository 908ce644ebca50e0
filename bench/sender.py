"""The benchmark's own C-STORE sender: everything encoded before the clock starts, TCP_NODELAY.

As a script it sends files once and prints instances per second:

    python -m bench.sender --to 127.0.0.1:4242 --called ORTHANC --calling BENCH folder/*.dcm
"""

from __future__ import annotations

import argparse
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.wire import (
    A_DATA_SET,
    AFFECTED_SOP_CLASS,
    AFFECTED_SOP_INSTANCE,
    C_STORE_RQ,
    COMMAND_FIELD,
    DATA_SET_TYPE,
    MESSAGE_ID,
    PRIORITY,
    STATUS,
    SUCCESS,
    Association,
    ClientTls,
    Context,
    Endpoint,
    PeerFailedError,
    command_set,
    pdata,
)

LONG_LENGTH_VRS = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT"})


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance as its file holds it."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset: bytes


def read_instance(path: Path) -> Instance:
    """Read a DICOM file. PS3.10 §7.1: the meta group is Explicit VR Little Endian."""
    content = path.read_bytes()
    offset = 132
    meta: dict[int, bytes] = {}
    while content[offset : offset + 2] == b"\x02\x00":
        (element,) = struct.unpack_from("<H", content, offset + 2)
        if content[offset + 4 : offset + 6] in LONG_LENGTH_VRS:
            (length,) = struct.unpack_from("<I", content, offset + 8)
            offset += 12
        else:
            (length,) = struct.unpack_from("<H", content, offset + 6)
            offset += 8
        meta[element] = content[offset : offset + length]
        offset += length
    sop_class, sop_instance, syntax = (
        meta[element].decode().rstrip("\0 ") for element in (0x0002, 0x0003, 0x0010)
    )
    return Instance(sop_class, sop_instance, syntax, content[offset:])


def contexts_for(instances: Sequence[Instance]) -> dict[tuple[str, str], Context]:
    """One presentation context for each pair of SOP class and transfer syntax."""
    pairs = sorted({(instance.sop_class, instance.transfer_syntax) for instance in instances})
    return {pair: Context(2 * n + 1, pair[0], (pair[1],)) for n, pair in enumerate(pairs)}


def store_message(instance: Instance, context: int, message_id: int, max_pdu: int) -> bytes:
    """Every byte of one C-STORE request."""
    command: dict[int, int | str] = {
        AFFECTED_SOP_CLASS: instance.sop_class,
        COMMAND_FIELD: C_STORE_RQ,
        MESSAGE_ID: message_id,
        PRIORITY: 0,
        DATA_SET_TYPE: A_DATA_SET,
        AFFECTED_SOP_INSTANCE: instance.sop_instance,
    }
    return pdata(context, command_set(command), instance.dataset, max_pdu)


def send(endpoint: Endpoint, instances: Sequence[Instance], associations: int, window: int = 1) -> float:
    """Store all, spread over so many associations at once. Instances per second.

    The clock runs from the first byte of the first request to the last answer; associating,
    encoding and releasing are outside it. ``window`` is how many wait for their answer at once.

    Raises:
        PeerFailedError: an association or the window was refused, or an instance not stored.
    """
    start_line = threading.Barrier(associations)
    shares = [instances[n::associations] for n in range(associations)]
    with ThreadPoolExecutor(associations) as pool:
        runs = [pool.submit(_send_share, endpoint, share, start_line, window) for share in shares]
    failures = [failure for run in runs if (failure := run.exception()) is not None]
    for failure in sorted(failures, key=lambda each: isinstance(each, threading.BrokenBarrierError)):
        raise failure  # the cause before those who waited in vain
    times = [run.result() for run in runs]
    seconds = max(end for _, end in times) - min(start for start, _ in times)
    return len(instances) / seconds


def _send_share(
    endpoint: Endpoint, instances: Sequence[Instance], start_line: threading.Barrier, window: int
) -> tuple[float, float]:
    try:
        contexts = contexts_for(instances)
        with Association(endpoint, list(contexts.values()), window) as association:
            association.need_window(window)
            requests = _encoded(instances, contexts, association)
            start_line.wait()
            start = time.perf_counter()
            _store(association, requests, window)
            return start, time.perf_counter()
    except BaseException:
        start_line.abort()  # or the other associations would wait for this one
        raise


def _encoded(
    instances: Sequence[Instance], contexts: Mapping[tuple[str, str], Context], association: Association
) -> list[bytes]:
    requests = []
    for number, instance in enumerate(instances):
        context = contexts[(instance.sop_class, instance.transfer_syntax)].identifier
        if context not in association.accepted:
            raise PeerFailedError(f"not accepted: {instance.sop_class} {instance.transfer_syntax}")
        requests.append(store_message(instance, context, number % 65_535 + 1, association.max_pdu))
    return requests


def _store(association: Association, requests: Sequence[bytes], window: int) -> None:
    """Keep ``window`` of them under way until all are answered."""
    for position in range(len(requests) + window - 1):
        if position < len(requests):
            association.send(requests[position])
        if position >= window - 1:
            status = association.read_message().number(STATUS)
            if status != SUCCESS:
                raise PeerFailedError(f"C-STORE answered with 0x{status:04X}")


def main() -> None:
    """Parse the command line, send, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--called", required=True)
    parser.add_argument("--calling", required=True)
    parser.add_argument("--associations", type=int, default=1)
    parser.add_argument("--cert", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--ca", type=Path)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    tls = ClientTls(options.cert, options.key, options.ca) if options.cert else None
    endpoint = Endpoint(host, int(port), options.called, options.calling, tls)
    instances = [read_instance(path) for path in options.files]
    print(f"{send(endpoint, instances, options.associations):.1f} instances/s")


if __name__ == "__main__":
    main()
