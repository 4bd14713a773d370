"""What is plugged in, told from what the kernel shows: which board it can be, and who holds it."""

import os
from argparse import Namespace

import pytest

from boards.ports import Plugged, boards_of_usb, find_plugged, holders
from gateway import cli
from gateway.errors import CommandError, Exit
from gateway.flashing.tools import ask_board, check_port

INFO = "Board-ID: RP2350\n"


def port(device, vid, pid, serial=None):
    return Namespace(device=device, vid=vid, pid=pid, serial_number=serial)


def usb(sysfs, name, vendor, product, serial=None):
    (sysfs / name).mkdir(parents=True)
    texts = {"idVendor": vendor, "idProduct": product} | ({"serial": serial} if serial else {})
    for file, text in texts.items():
        (sysfs / name / file).write_text(text + "\n")


def test_ports_drives_and_probes_are_one_list_and_nothing_twice(tmp_path):
    ports = [port("/dev/ttyACM0", 0x2E8A, 0x0005, "E661"), port("/dev/ttyS0", None, None), port("/dev/ttyUSB0", 1, 2)]
    usb(tmp_path / "sys", "1-1", "2e8a", "0005", "E661")  # the first port's own device
    usb(tmp_path / "sys", "1-2", "1366", "1015", "0006")
    usb(tmp_path / "sys", "1-3", "0483", "df11")
    usb(tmp_path / "sys", "1-4", "1d6b", "0002")
    (tmp_path / "sys" / "1-2:1.0").mkdir()
    (tmp_path / "INFO_UF2.TXT").write_text(INFO)
    found = find_plugged(ports, tmp_path / "sys", f"/dev/sdb1 {tmp_path} vfat rw 0 0\n")
    picos = ("rpi_pico2_w", "rpi_pico2_w_riscv", "rpi_pico_w")
    assert found == [
        Plugged("serial", "/dev/ttyACM0", "2e8a:0005", "E661", picos, "micropython", ()),
        Plugged("serial", "/dev/ttyUSB0", "0001:0002", "", (), "", ()),
        Plugged("drive", str(tmp_path), "", "", picos[:2], "bootloader", ()),
        Plugged("usb", str(tmp_path / "sys" / "1-2"), "1366:1015", "0006", ("nrf52840_dk",), "probe", ()),
        Plugged("usb", str(tmp_path / "sys" / "1-3"), "0483:df11", "", ("nucleo_f767zi",), "bootloader", ()),
    ]


def test_an_unknown_usb_id_is_no_board():
    assert boards_of_usb("0000:0000") == ((), "") and boards_of_usb("") == ((), "")


def test_this_process_is_no_holder_and_what_is_not_readable_is_left_out(tmp_path):
    for pid, comm, target in (("7", "screen", "/dev/ttyX"), ("30", "minicom", "/dev/ttyX"), ("8", "cat", "/dev/null")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "comm").write_text(comm + "\n")
        (tmp_path / pid / "fd" / "0").symlink_to(target)
    (tmp_path / "7" / "fd" / "1").touch()  # as one that was closed after it was listed, no link to read
    (tmp_path / "9").mkdir()
    (tmp_path / str(os.getpid()) / "fd").mkdir(parents=True)
    (tmp_path / str(os.getpid()) / "fd" / "5").symlink_to("/dev/ttyX")
    assert holders("/dev/ttyX", tmp_path) == ("screen (process 7)", "minicom (process 30)")
    (tmp_path / "7" / "comm").write_bytes(b"\xff\n")
    assert holders("/dev/ttyX", tmp_path)[0] == "\ufffd (process 7)"


def test_a_port_that_is_not_there_says_where_to_look(tmp_path):
    with pytest.raises(CommandError, match="got no such port; run: tinyren devices") as caught:
        check_port(str(tmp_path / "none"))
    assert caught.value.code == Exit.PORT


def test_no_permission_on_a_port_names_the_group_to_join(tmp_path, monkeypatch):
    (tmp_path / "port").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # for root every port is permitted
    with pytest.raises(CommandError, match=r"no permission; run: sudo usermod -aG \w+ \$USER, log in again") as caught:
        check_port(str(tmp_path / "port"))
    assert caught.value.code == Exit.PORT


def test_a_port_where_nobody_answers_is_a_timeout_with_what_to_do(monkeypatch):
    monkeypatch.setattr("boards.console.TIMEOUT_S", 0.5)
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    os.close(theirs)
    with pytest.raises(CommandError, match="press the board's reset button and run the same command again") as caught:
        ask_board(name)
    os.close(ours)
    assert caught.value.code == Exit.TIMEOUT


def test_the_command_lists_the_same_as_json_and_says_when_there_is_nothing(capsys, monkeypatch):
    monkeypatch.setattr("boards.ports.find_plugged", list)
    assert cli.main(["devices"]) == Exit.NOTHING_TO_DO
    assert "nothing is plugged in" in capsys.readouterr().err
    row = Plugged("serial", "/dev/ttyACM0", "2e8a:0005", "E6", ("rpi_pico_w",), "micropython", ("cat (process 1)",))
    monkeypatch.setattr("boards.ports.find_plugged", lambda: [row])
    assert cli.main(["devices"]) == Exit.OK
    assert "/dev/ttyACM0  serial  2e8a:0005  micropython  rpi_pico_w  cat (process 1)" in capsys.readouterr().out
    assert cli.main(["devices", "--json"]) == Exit.OK
    assert '"held_by": [\n      "cat (process 1)"' in capsys.readouterr().out


def test_what_a_process_calls_itself_is_shown_as_text(capsys, monkeypatch):
    row = Plugged("serial", "/dev/ttyACM0", "", "", (), "", ("\x1b[2Jcat (process 1)",))
    monkeypatch.setattr("boards.ports.find_plugged", lambda: [row])
    assert cli.main(["devices"]) == Exit.OK and "?[2Jcat (process 1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("is_terminal", "shown"),
    [(True, "boot ?]0;owned? grün\nred\n"), (False, "boot \x1b]0;owned\x07 grün\r\n\x1b[0;31mred\x1b[0m\r\n")],
)
def test_what_a_board_prints_is_text_to_a_terminal_and_itself_to_a_file(
    is_terminal, shown, capsysbinary, monkeypatch, tmp_path
):
    printed = "boot \x1b]0;owned\x07 grün\r\n\x1b[0;31mred\x1b[0m\r\n".encode()
    parts = [printed[:18], printed[18:21], printed[21:]]  # cut within a letter, and before a line feed
    monkeypatch.setattr("boards.console.read_port", lambda _: iter(parts))
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    (tmp_path / "port").touch()
    assert cli.main(["logs", str(tmp_path / "port")]) == Exit.OK
    assert capsysbinary.readouterr().out == shown.encode()


def test_the_table_of_boards_is_a_command(capsys, tmp_path):
    assert cli.main(["boards"]) == Exit.OK
    assert "rpi_pico_w" in capsys.readouterr().out
    assert cli.main(["boards", "--write", str(tmp_path / "boards.md"), "--json"]) == Exit.OK
    assert '"board": "esp32_c3"' in capsys.readouterr().out and (tmp_path / "boards.md").read_text().startswith("# B")
