"""A batch's decisions: lists, duplicates, the signed manifest and the journal, without a board."""

import json
import os
import subprocess
import sys

import cbor2
import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import cbor, cose
from gateway import curve
from gateway.errors import CommandError, Exit
from gateway.provisioning import manifest
from gateway.provisioning.batch import OK, ListError, Row, numbered, plan, read_list
from gateway.provisioning.journal import NAME, Journal, Record
from gateway.provisioning.manifest import Entry, ManifestError
from tests.up_site import ROOT

FACTORY = PrivateKey.from_int(77)
ADDRESS = curve.address_of(FACTORY.secret)
DEVICE = "a1" * 20
ROW = Row(2, "A1", "pico", "/dev/ttyACM0", "hall")
GOOD = Record(ROW, OK, 1_800_000_000, DEVICE, "f0" * 32, "0.1.0", "5a" * 16, "0b" * 32, "TR:X", "7ZK3-0Q9M-HA2V")


def signed(entries):
    return manifest.sign(entries, ADDRESS, lambda digest: FACTORY.sign_recoverable(digest, hasher=None))


# The list


def test_a_list_is_read_with_its_rows_as_a_spreadsheet_counts_them():
    text = "\ufeffserial , board,port,name\r\nA1,pico,/dev/ttyACM0,hall\r\n\r\nA2, pico,/dev/ttyACM1,\r\n"
    assert read_list(text) == [ROW, Row(3, "A2", "pico", "/dev/ttyACM1")]
    assert read_list("board,serial\npico,A1\n") == [Row(2, "A1", "pico")]
    assert read_list("serial,board,ssid,sensors\nA1,pico,Wörkshop,tmp105\n")[0].settings == {
        "ssid": "Wörkshop",
        "sensors": "tmp105",
    }
    assert numbered(2, "pico") == [Row(2, "0001", "pico"), Row(3, "0002", "pico")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "row 1: got the columns"),
        ("serial,board\n", "got 0 boards"),
        ("serial\nA1\n", "row 1: got the columns serial, wanted serial, board, port, name"),
        ("serial,board,colour\nA1,pico,red\n", "row 1"),
        ("serial,board,board\nA1,pico,pico\n", "row 1"),
        ("serial,board\nA1,pico\nA2\n", "row 3: got 1 fields, wanted 2"),
        ("serial,board\n../A1,pico\n", "row 2: serial: got '../A1'"),
        ("serial,board\n.,pico\n", "row 2: serial"),
        (f"serial,board\n{'A' * 33},pico\n", "row 2: serial"),
        ("serial,board,port\nA1,pico,a b\n", "row 2: port"),
        ("serial,board,name\nA1,pico,=cmd()\n", "row 2: name: got '=cmd()'"),
        ("serial,board,gateways\nA1,pico,gw.local\n", "row 2: gateways: got 'gw.local', wanted 1 to 4 of HOST:PORT"),
        ("serial,board,password\nA1,pico,keep-me-out\n", "row 1: got a column for a password, wanted none"),
        ("serial,board,device\nA1,pico,0x12\n", "row 2: device: got '0x12', wanted a device's id"),
        ('serial,board\nA1,"pico\n', "no CSV"),
        ("serial,board\n" + "A,b\n" * 10_001, "got 10001 boards, wanted 1 to 10000"),
    ],
)
def test_a_list_that_is_none_is_refused_by_row_and_field(text, said):
    with pytest.raises(ListError) as caught:
        read_list(text)
    assert said in str(caught.value) and "keep-me-out" not in str(caught.value)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet='serial,board\n"\r\0', max_size=60))
def test_any_text_is_a_list_or_is_refused(text):
    try:
        assert all(row.serial and row.board for row in read_list(text))
    except ListError:
        pass


def test_duplicates_and_unknown_boards_are_refused_by_row_and_the_rest_goes_on():
    rows = [
        Row(2, "A1", "pico", "p1"),
        Row(3, "A1", "pico", "p2"),
        Row(4, "A4", "pico", "p1"),
        Row(5, "A5", "acorn", "p5"),
        Row(6, "A6", "pico"),
        Row(7, "A7", "qemu"),
        Row(8, "A8", "qemu", "", "new name"),
        Row(9, "A9", "qemu"),
        Row(10, "A10", "pico", "by-id/p1"),
        Row(11, "A11", "qemu", ssid="workshop"),
        Row(12, "A12", "pico", "p12", ssid="workshop"),
    ]
    done = {"A8": Row(8, "A8", "qemu", "", "old name"), "A9": Row(2, "A9", "qemu")}
    done["A12"] = Row(12, "A12", "pico", "p12", ssid="store")
    to_do, before, refused = plan(rows, {"qemu"}, {"pico"}, done, {"by-id/p1": "p1"})
    assert [row.serial for row in to_do] == ["A1", "A7"] and [row.serial for row in before] == ["A9"]
    told = {one.row.number: one.reason for one in refused}
    assert list(told) == [3, 4, 5, 6, 8, 10, 11, 12]
    for number, said in ((3, "serial A1 is that of row 2"), (4, "port p1 is that of row 2"), (5, "there is none"),
                         (6, "port: got none"), (8, "was provisioned before"), (10, "is that of row 2 too"),
                         (11, "ssid: got one, but"), (12, "was provisioned before")):  # fmt: skip
        assert said in told[number]


# The manifest


def test_a_manifest_is_what_any_cose_library_reads_and_holds_no_code():
    failed = Record(Row(3, "A2", "pico"), "no answer", 5)
    frame = signed([GOOD.entry(), failed.entry()])
    assert manifest.verify(frame) == (ADDRESS, [GOOD.entry(), failed.entry()])
    item = cbor2.loads(frame)
    protected, unprotected, payload, signature = item.value
    assert (item.tag, cbor2.loads(protected), unprotected, len(signature)) == (18, {1: -47}, {4: ADDRESS}, 64)
    assert cbor2.loads(payload)[1][0][:3] == ["A1", bytes.fromhex(DEVICE), "pico"]
    assert b"TR:X" not in frame and b"HA2V" not in frame


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.data())
def test_one_changed_byte_of_a_manifest_is_noticed(data):
    frame = bytearray(signed([GOOD.entry()]))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ManifestError):
        manifest.verify(bytes(frame))


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_foreign_bytes_are_no_manifest(frame):
    with pytest.raises(ManifestError, match="this is no manifest"):
        manifest.verify(frame)


@pytest.mark.parametrize(
    "payload",
    [[1], [2, []], [1, [["A1"]]], [1, [list(vars(GOOD.entry()).values())[:-1] + [7]]],
     [1, [list(vars(Entry("A1", b"x", "pico", b"", "", b"", b"", 5, "ok")).values())]], {1: []}],
)  # fmt: skip
def test_a_signed_payload_of_another_form_is_refused(payload):
    frame = cose.sign1(cbor.encode(payload), ADDRESS, lambda digest: FACTORY.sign_recoverable(digest, hasher=None))
    with pytest.raises(ManifestError, match="this is no manifest"):
        manifest.verify(frame)


def test_a_manifest_of_another_factory_ends_with_the_code_for_trust(tmp_path):
    path = tmp_path / "manifest.cose"
    path.write_bytes(signed([GOOD.entry()]))
    command = [sys.executable, "-m", "gateway.cli", "provision", "--verify", str(path)]
    good = subprocess.run([*command, "--factory", "0x" + ADDRESS.hex(), "--json"], cwd=ROOT, capture_output=True)
    assert good.returncode == 0 and json.loads(good.stdout)["entries"][0]["serial"] == "A1"
    other = subprocess.run([*command, "--factory", "0x" + "00" * 20], cwd=ROOT, capture_output=True, text=True)
    assert other.returncode == Exit.TRUST and "another factory's" in other.stderr and not other.stdout


# The journal


def test_what_was_added_is_there_again_and_a_torn_line_is_cut(tmp_path):
    journal = Journal(tmp_path)
    journal.add(Record(ROW, "no answer", 4))
    journal.add(GOOD)
    journal.close()
    path = tmp_path / NAME
    whole = path.read_bytes()
    for torn in (b"{", whole[:-1].splitlines()[0], b"\xff" * 50):
        path.write_bytes(whole + torn)
        again = Journal(tmp_path)
        assert again.last == {"A1": GOOD} and again.done() == {"A1": ROW} and again.serial_of(DEVICE) == "A1"
        again.close()
        assert path.read_bytes() == whole
    assert path.stat().st_mode & 0o077 == 0 and "TR:X" not in repr(GOOD) and "HA2V" not in repr(GOOD)


def test_a_board_that_failed_is_not_done_and_its_device_is_free(tmp_path):
    journal = Journal(tmp_path)
    journal.add(Record(ROW, "no answer", 4, DEVICE))
    assert journal.done() == {} and journal.serial_of(DEVICE) is None
    journal.close()


@pytest.mark.parametrize("line", [b"{}\n", b"[]\n", b"\n", b'{"row": {}}\n', b'{"row": {"number": 2}, "result": 1}\n'])
def test_a_line_that_is_none_is_told_with_its_number_and_nothing_is_changed(tmp_path, line):
    (tmp_path / NAME).write_bytes(line)
    with pytest.raises(CommandError, match="line 1 is none") as caught:
        Journal(tmp_path)
    assert caught.value.code == Exit.TRUST and (tmp_path / NAME).read_bytes() == line


def test_two_processes_do_not_write_one_journal(tmp_path):
    journal = Journal(tmp_path)
    with pytest.raises(CommandError, match="another `tinyren provision`") as caught:
        Journal(tmp_path)
    assert caught.value.code == Exit.REFUSED
    journal.close()
    Journal(tmp_path).close()


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.add(GOOD)
    before = (tmp_path / NAME).read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.add(Record(Row(3, "A2", "pico"), OK, 5))
    assert (tmp_path / NAME).read_bytes() == before and list(journal.last) == ["A1"]
    journal.close()
