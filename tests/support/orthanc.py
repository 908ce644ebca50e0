"""A real Orthanc, in a folder of its own, on free ports of 127.0.0.1. Debian's service is not used."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import Peer, peer_path
from tests.support.ports import LOOPBACK, free_port
from tests.support.processes import ChildProcess

Json = dict[str, "JsonValue"]
JsonValue = str | int | float | bool | None | list["JsonValue"] | Json

READY = r"Orthanc has started"


class OrthancError(RuntimeError):
    """Orthanc's REST interface answered with a failure. Carries its answer."""


@dataclass(frozen=True, slots=True)
class RemoteModality:
    """A DICOM node that Orthanc may send to or move from."""

    ae: str
    port: int
    host: str = LOOPBACK
    use_tls: bool = False


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: what Orthanc shows, and whom it trusts."""

    certificate: Path
    private_key: Path
    trusted: Path


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc."""

    ae: str
    dicom_port: int
    http_port: int
    process: ChildProcess

    def get(self, path: str) -> JsonValue:
        """GET, decoded from JSON."""
        return _decoded(self._request("GET", path, b""))

    def post(self, path: str, body: Json | list[JsonValue]) -> JsonValue:
        """POST of JSON, decoded from JSON."""
        return _decoded(self._request("POST", path, json.dumps(body).encode()))

    def upload(self, file: Path) -> str:
        """Add a DICOM file. Orthanc's own id of the instance."""
        answer = _decoded(self._request("POST", "/instances", file.read_bytes()))
        if not isinstance(answer, dict) or not isinstance(answer.get("ID"), str):
            raise OrthancError(f"upload of {file.name}: {answer!r}")
        return str(answer["ID"])

    def instances(self) -> list[str]:
        """Orthanc's own ids of everything it holds."""
        answer = self.get("/instances")
        return [str(item) for item in answer] if isinstance(answer, list) else []

    def file(self, instance: str) -> bytes:
        """The DICOM file it holds, as it would give it away."""
        return self._request("GET", f"/instances/{instance}/file", b"")

    def store_to(self, modality: str, instances: Sequence[str]) -> JsonValue:
        """C-STORE these to the modality so named, and wait for the end.

        Raises:
            OrthancError: an instance was not taken.
        """
        return self.post(f"/modalities/{modality}/store", {"Resources": list(instances), "Synchronous": True})

    def echo(self, modality: str) -> None:
        """C-ECHO.

        Raises:
            OrthancError: not answered with success.
        """
        self.post(f"/modalities/{modality}/echo", {})

    def _request(self, method: str, path: str, body: bytes) -> bytes:
        connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=60)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise OrthancError(f"{method} {path}: {response.status} {answer.decode(errors='replace')}")
        return answer


def _decoded(answer: bytes) -> JsonValue:
    value: JsonValue = json.loads(answer) if answer else None
    return value


def orthanc_configuration(
    directory: Path,
    *,
    ae: str,
    dicom_port: int,
    http_port: int,
    modalities: Mapping[str, RemoteModality],
    tls: TlsFiles | None,
) -> Json:
    """Orthanc's defaults, but for where it keeps things, what it listens on and whom it knows."""
    configuration: Json = {
        "Name": ae,
        "StorageDirectory": str(directory / "storage"),
        "IndexDirectory": str(directory / "storage"),
        "Plugins": [],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpPort": http_port,
        "DicomAet": ae,
        "DicomPort": dicom_port,
        "DicomModalities": {
            name: {"AET": node.ae, "Host": node.host, "Port": node.port, "UseDicomTls": node.use_tls}
            for name, node in modalities.items()
        },
    }
    if tls is not None:
        configuration |= {
            "DicomTlsCertificate": str(tls.certificate),
            "DicomTlsPrivateKey": str(tls.private_key),
            "DicomTlsTrustedCertificates": str(tls.trusted),
        }
    return configuration


@contextmanager
def running_orthanc(
    directory: Path,
    *,
    ae: str = "ORTHANC",
    modalities: Mapping[str, RemoteModality] | None = None,
    tls: TlsFiles | None = None,
    env: Mapping[str, str] | None = None,
    dicom_port: int | None = None,
) -> Iterator[Orthanc]:
    """Start Orthanc under ``directory`` and yield it once it takes connections; end it afterwards.

    It accepts DICOM in clear from this host, on a free port unless one is given. With ``tls`` it can
    also send to modalities over TLS.

    Raises:
        PeerMissingError: not installed.
        ProcessFailedError: it did not start. Carries its log.
    """
    directory.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = dicom_port or free_port(), free_port()
    configuration = orthanc_configuration(
        directory,
        ae=ae,
        dicom_port=dicom_port,
        http_port=http_port,
        modalities=modalities or {},
        tls=tls,
    )
    configuration_file = directory / "orthanc.json"
    configuration_file.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
    command = (peer_path(Peer.ORTHANC), str(configuration_file))
    with ChildProcess(command, directory / "orthanc.log", env=env) as process:
        process.wait_for(READY, timeout_s=60)
        yield Orthanc(ae, dicom_port, http_port, process)
