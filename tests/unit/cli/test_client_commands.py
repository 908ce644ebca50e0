"""echo, find, send and get: with a real archive, and with peers that misbehave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadglass.cli.calling import call_from
from leadglass.cli.client import query_keys
from leadglass.cli.output import Exit
from leadglass.dataset.identifier import decode_answer, encode_identifier
from leadglass.dataset.part10 import file_meta, read_part10
from leadglass.dataset.synthetic import SyntheticInstance
from leadglass.model.names import Uid
from leadglass.model.query import Level
from leadglass.net.scu import Target
from leadglass.protocol import commands as c
from leadglass.protocol.dimse import encode_command
from leadglass.protocol.negotiation import IMPLEMENTATION_CLASS_UID
from leadglass.protocol.status import Status
from tests.support.archive_rig import ct_images
from tests.support.command_line import Leadglass
from tests.support.net_hosts import Host, Story, hosted
from tests.support.net_rig import CT_IMAGE, EXPLICIT, NetRig, in_thread, net_rig

IMAGES = ct_images(3)
VALUES = {element.keyword: element.text for element in decode_answer(IMAGES[0].dataset, EXPLICIT)}
STUDY, SERIES, PATIENT = (VALUES[name] for name in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID"))


def write_file(path: Path, item: SyntheticInstance) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = file_meta(
        item.sop_class,
        item.sop_instance,
        item.transfer_syntax,
        implementation_class=IMPLEMENTATION_CLASS_UID,
        implementation_version="TEST",
    )
    path.write_bytes(meta + item.dataset)
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with three images."""
    for number, item in enumerate(IMAGES):
        write_file(tmp_path / "images" / f"{number}.dcm", item)
    return tmp_path / "images"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[NetRig]:
    with in_thread(net_rig(tmp_path / "archive")) as rig:
        yield rig


@pytest.fixture
def full(rig: NetRig, files: Path, leadglass: Leadglass) -> NetRig:
    assert leadglass("send", *options(rig.port, "CT1"), files).code == Exit.OK
    return rig


def options(port: int, calling: str = "WS1") -> list[str]:
    return ["--to", f"127.0.0.1:{port}", "--called", "NORTH", "--calling", calling]


@contextmanager
def peer(story: Story, *, strict: bool = True) -> Iterator[Target]:
    with in_thread(hosted(story, strict=strict)) as target:
        yield target


class TestEcho:
    def test_a_peer_that_answers(self, leadglass: Leadglass, rig: NetRig) -> None:
        ended = leadglass("echo", *options(rig.port))
        assert (ended.code, ended.err) == (Exit.OK, f"NORTH at 127.0.0.1:{rig.port} answered\n")

    def test_a_peer_that_rejects(self, leadglass: Leadglass, rig: NetRig) -> None:
        ended = leadglass("echo", *options(rig.port, "STRANGER"))
        assert ended.code == Exit.ERROR
        assert "rejected" in ended.err

    def test_a_peer_that_answers_with_a_failure(self, leadglass: Leadglass) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.request()
            await host.send(1, c.CEchoRsp(1, Status.NOT_AUTHORIZED))
            await host.until_gone()

        with peer(story) as target:
            ended = leadglass("echo", *options(target.port))
        assert ended.code == Exit.FINDINGS
        assert "status 0124" in ended.err

    def test_nobody_there(self, leadglass: Leadglass) -> None:
        ended = leadglass("echo", *options(1))
        assert ended.code == Exit.ERROR
        assert "cannot connect" in ended.err

    @pytest.mark.parametrize("to", ["nowhere", "host:", ":11112", "host:0", "host:99999", "host:port"])
    def test_a_wrong_address_is_a_usage_error(self, leadglass: Leadglass, to: str) -> None:
        assert leadglass("echo", "--to", to, "--called", "N", "--calling", "C").code == Exit.USAGE

    @pytest.mark.parametrize("title", ["", "longer than sixteen", "back\\slash", "tab\t"])
    def test_a_wrong_ae_title_is_a_usage_error(self, leadglass: Leadglass, title: str) -> None:
        ended = leadglass("echo", "--to", "127.0.0.1:1", "--called", title, "--calling", "C")
        assert ended.code == Exit.USAGE

    def test_half_of_tls_is_a_usage_error(self, leadglass: Leadglass, tmp_path: Path) -> None:
        assert leadglass("echo", *options(1), "--cert", tmp_path / "cert.pem").code == Exit.USAGE

    def test_files_that_are_missing_are_said(self, leadglass: Leadglass, tmp_path: Path) -> None:
        tls = [str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem")]
        ended = leadglass("echo", *options(1), "--cert", tls[0], "--key", tls[1], "--ca", tls[2])
        assert ended.code == Exit.ERROR
        assert "ca.pem: No such file" in ended.err

    def test_an_ipv6_address_may_stand_in_brackets(self) -> None:
        call = call_from("[::1]:11112", "N", "C", None, None, None, None)
        assert (call.target.host, call.target.port) == ("::1", 11112)


class TestFind:
    def test_answers_as_lines_and_as_json(self, leadglass: Leadglass, full: NetRig) -> None:
        ended = leadglass("find", *options(full.port), f"PatientID={PATIENT}")
        assert (ended.code, "1 found" in ended.err) == (Exit.OK, True)
        assert STUDY in ended.out.split("\t")
        [answer] = leadglass("find", *options(full.port), "--json").json
        assert (answer["PatientID"], answer["NumberOfStudyRelatedInstances"]) == (PATIENT, "3")

    @pytest.mark.parametrize("level", ["PATIENT", "patient"])
    def test_other_levels_and_roots(self, leadglass: Leadglass, full: NetRig, level: str) -> None:
        ended = leadglass("find", *options(full.port), "--level", level, "--root", "patient")
        assert ended.code == Exit.OK
        assert PATIENT in ended.out

    def test_a_limit_cancels(self, leadglass: Leadglass) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.request()
            for number in range(2):
                await host.send(
                    1, pending(), encode_identifier(Level.STUDY, [("StudyID", str(number))], EXPLICIT)
                )
            assert await host.request() == c.CCancelRq(1)
            await host.send(1, pending(), encode_identifier(Level.STUDY, [("StudyID", "late")], EXPLICIT))
            await host.send(1, c.CFindRsp(1, Status.CANCEL, has_dataset=False))
            await host.until_gone()

        with peer(story) as target:
            ended = leadglass("find", *options(target.port), "--limit", "2")
        assert (ended.code, "2 found, then cancelled" in ended.err) == (Exit.OK, True)
        assert "late" not in ended.out

    def test_what_a_hostile_peer_answers_steers_no_terminal(self, leadglass: Leadglass) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.request()
            await host.send(1, pending(), b"\x10\x00\x10\x00PN\x0e\x00Doe^\x1b[2J\x07\x9b31mX")
            await host.send(1, c.CFindRsp(1, 0, has_dataset=False))
            await host.until_gone()

        with peer(story) as target:
            ended = leadglass("find", *options(target.port))
            again = leadglass("find", *options(target.port), "--json")
        for character in "\x1b\x07\x9b":
            assert character not in ended.out + ended.err + again.err
        assert "\x1b" not in again.out
        assert "Doe" in json.dumps(again.json)

    @pytest.mark.parametrize("answer", [b"\xff\xff", b"\x10\x00\x10\x00PN\xff\x7fA"])
    def test_an_answer_that_cannot_be_read_is_an_error(self, leadglass: Leadglass, answer: bytes) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.request()
            await host.send(1, pending(), answer)
            await host.until_gone()

        with peer(story) as target:
            ended = leadglass("find", *options(target.port))
        assert ended.code == Exit.ERROR

    def test_a_failure_of_the_peer(self, leadglass: Leadglass) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.request()
            await host.send(1, c.CFindRsp(1, Status.OUT_OF_RESOURCES, has_dataset=False))
            await host.until_gone()

        with peer(story) as target:
            ended = leadglass("find", *options(target.port))
        assert (ended.code, "A700" in ended.err) == (Exit.FINDINGS, True)

    def test_a_key_that_does_not_exist_is_said(self, leadglass: Leadglass, rig: NetRig) -> None:
        ended = leadglass("find", *options(rig.port), "PatientNme=x")
        assert ended.code == Exit.ERROR
        assert "PatientName" in ended.err

    def test_a_device_that_may_not_search_is_refused(self, leadglass: Leadglass, rig: NetRig) -> None:
        ended = leadglass("find", *options(rig.port, "CT1"))
        assert ended.code == Exit.ERROR
        assert "did not accept" in ended.err

    def test_given_keys_replace_the_usual_ones(self) -> None:
        assert query_keys(Level.PATIENT, ["PatientID=7", "PatientSex"]) == [
            ("PatientID", "7"),
            ("PatientName", ""),
            ("PatientBirthDate", ""),
            ("PatientSex", ""),
        ]


def pending() -> c.CFindRsp:
    return c.CFindRsp(1, Status.PENDING, has_dataset=True)


class TestSend:
    def test_a_folder_of_files(self, leadglass: Leadglass, rig: NetRig, files: Path) -> None:
        ended = leadglass("send", *options(rig.port, "CT1"), files, "--json")
        assert ended.code == Exit.OK
        assert ended.json == {"sent": 3, "failed": []}
        assert "3 sent, 0 failed" in ended.err

    def test_what_cannot_be_sent_is_listed_and_the_rest_sent(
        self, leadglass: Leadglass, rig: NetRig, files: Path, tmp_path: Path
    ) -> None:
        (files / "notes.txt").write_text("no image")
        ended = leadglass("send", *options(rig.port, "CT1"), files, tmp_path / "missing.dcm", "--json")
        assert ended.code == Exit.PARTLY_DONE
        assert ended.json["sent"] == 3
        assert len(ended.json["failed"]) == 2
        assert "missing.dcm: No such file" in ended.err

    def test_when_nothing_could_be_sent_it_is_an_error(
        self, leadglass: Leadglass, rig: NetRig, tmp_path: Path
    ) -> None:
        assert leadglass("send", *options(rig.port, "CT1"), tmp_path / "x").code == Exit.ERROR

    def test_what_the_peer_refuses_is_said(self, leadglass: Leadglass, files: Path) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            for status in (0, Status.OUT_OF_RESOURCES, Status.COERCION_OF_DATA_ELEMENTS):
                request = await host.request()
                assert isinstance(request, c.CStoreRq)
                await host.send(1, c.CStoreRsp(request.message_id, status))
            await host.until_gone()

        with peer(story) as target:
            ended = leadglass("send", *options(target.port), files)
        assert (ended.code, "status A700" in ended.err) == (Exit.PARTLY_DONE, True)
        assert "2 sent, 1 failed" in ended.err

    def test_a_kind_that_the_peer_does_not_take_is_said(
        self, leadglass: Leadglass, full: NetRig, files: Path
    ) -> None:
        ended = leadglass("send", *options(full.port, "WS1"), files)
        assert ended.code == Exit.ERROR
        assert "did not accept" in ended.err

    def test_a_peer_that_vanishes_is_an_error(self, leadglass: Leadglass, files: Path) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.request()

        with peer(story) as target:
            assert leadglass("send", *options(target.port), files).code == Exit.ERROR


class TestGet:
    def test_a_study_comes_as_it_was_sent(self, leadglass: Leadglass, full: NetRig, tmp_path: Path) -> None:
        out = tmp_path / "out"
        ended = leadglass("get", *options(full.port), "--study", STUDY, "--out", out, "--json")
        assert ended.code == Exit.OK
        assert ended.json == {"received": 3, "failed": []}
        assert {path.name for path in out.iterdir()} == {f"{item.sop_instance}.dcm" for item in IMAGES}
        came = read_part10((out / f"{IMAGES[1].sop_instance}.dcm").read_bytes())
        assert bytes(came.dataset) == IMAGES[1].dataset

    @pytest.mark.parametrize(
        ("narrower", "count"),
        [
            (["--series", SERIES], 3),
            (["--series", SERIES, "--instance", IMAGES[0].sop_instance], 1),
            (["--root", "patient", "--patient", PATIENT], 3),
        ],
    )
    def test_less_than_a_study(
        self, leadglass: Leadglass, full: NetRig, tmp_path: Path, narrower: list[str], count: int
    ) -> None:
        out = tmp_path / "out"
        ended = leadglass("get", *options(full.port), "--study", STUDY, "--out", out, *narrower)
        assert (ended.code, f"{count} received" in ended.err) == (Exit.OK, True)

    @pytest.mark.parametrize("wrong", [["--patient", "1"], ["--root", "patient"], ["--instance", "1.2"]])
    def test_options_that_do_not_go_together(
        self, leadglass: Leadglass, tmp_path: Path, wrong: list[str]
    ) -> None:
        ended = leadglass("get", *options(1), "--study", "1.2", "--out", tmp_path / "out", *wrong)
        assert ended.code == Exit.USAGE
        assert not (tmp_path / "out").exists()

    def test_what_the_peer_does_not_know_is_an_error(
        self, leadglass: Leadglass, full: NetRig, tmp_path: Path
    ) -> None:
        ended = leadglass("get", *options(full.port), "--study", "1.2.3", "--out", tmp_path / "out")
        assert (ended.code, "knows nothing" in ended.err) == (Exit.ERROR, True)

    def test_a_folder_that_cannot_be_made_is_said(
        self, leadglass: Leadglass, full: NetRig, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        ended = leadglass("get", *options(full.port), "--study", STUDY, "--out", tmp_path / "file")
        assert ended.code == Exit.ERROR
        assert "file" in ended.err

    def test_a_file_that_cannot_be_written_is_a_failure_of_that_object(
        self, leadglass: Leadglass, full: NetRig, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        (out / f".{IMAGES[0].sop_instance}.part").mkdir(parents=True)
        (out / f"{IMAGES[1].sop_instance}.dcm").mkdir()
        ended = leadglass("get", *options(full.port), "--study", STUDY, "--out", out)
        assert ended.code == Exit.PARTLY_DONE
        assert "1 received" in ended.err

    def test_an_object_that_is_cut_off_leaves_no_file(self, leadglass: Leadglass, tmp_path: Path) -> None:
        with peer(finds_one_and_cuts_it_off, strict=False) as target:
            ended = leadglass("get", *options(target.port), "--study", STUDY, "--out", tmp_path / "out")
        assert ended.code == Exit.ERROR
        assert list((tmp_path / "out").iterdir()) == []

    def test_a_query_that_fails_is_an_error(self, leadglass: Leadglass, tmp_path: Path) -> None:
        async def story(host: Host) -> None:
            await host.accept()
            await host.request()
            await host.send(1, c.CFindRsp(1, Status.OUT_OF_RESOURCES, has_dataset=False))
            await host.until_gone()

        with peer(story) as target:
            ended = leadglass("get", *options(target.port), "--study", STUDY, "--out", tmp_path / "out")
        assert (ended.code, "A700" in ended.err) == (Exit.ERROR, True)

    def test_what_the_peer_did_not_send_is_said(self, leadglass: Leadglass, tmp_path: Path) -> None:
        with peer(finds_one_and_refuses_it, strict=False) as target:
            ended = leadglass("get", *options(target.port), "--study", STUDY, "--out", tmp_path / "out")
        assert ended.code == Exit.ERROR
        assert "1 objects: not sent by the peer, status A702: too bad" in ended.err


async def find_one(host: Host) -> bool:
    """Answer the two queries that come before a C-GET; whether this is the association of the C-GET."""
    await host.accept()
    request = await host.request()
    if not isinstance(request, c.CFindRq):
        return True
    await host.send(1, pending(), encode_identifier(Level.SERIES, [("SeriesInstanceUID", SERIES)], EXPLICIT))
    await host.send(1, c.CFindRsp(request.message_id, 0, has_dataset=False))
    request = await host.request()
    assert isinstance(request, c.CFindRq)
    keys = [
        ("SOPInstanceUID", "1.2.3"),
        ("SOPClassUID", CT_IMAGE),
        ("AvailableTransferSyntaxUID", EXPLICIT),
    ]
    answer = c.CFindRsp(request.message_id, Status.PENDING, has_dataset=True)
    await host.send(1, answer, encode_identifier(Level.IMAGE, keys, EXPLICIT))
    await host.send(1, c.CFindRsp(request.message_id, 0, has_dataset=False))
    await host.next()
    host.association.reply_release()
    await host.flush()
    await host.until_gone()
    return False


async def finds_one_and_cuts_it_off(host: Host) -> None:
    if await find_one(host):
        host.association.send_command(
            3, encode_command(c.CStoreRq(1, CT_IMAGE, Uid("1.2.3"))), has_dataset=True
        )
        host.association.send_dataset_fragment(3, b"half", is_last=False)
        await host.flush()


async def finds_one_and_refuses_it(host: Host) -> None:
    if await find_one(host):
        status = Status.OUT_OF_RESOURCES_SUBOPERATIONS
        refusal = c.CGetRsp(1, status, has_dataset=False, failed=1, error_comment="too bad")
        await host.send(1, refusal)
        await host.until_gone()
