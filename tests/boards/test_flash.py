"""`tinyren flash` before and around the tools: what is refused with nothing written, and which commands are built."""

import io
import struct
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from boards import uf2
from boards.flashing import dfu_commands, esptool_commands, openocd_commands, pyocd_commands
from boards.hardware import load_hardware
from boards.images import ImageError, check_image, cut_esp, read_hex
from boards.ports import Plugged
from gateway.errors import CommandError, Exit
from gateway.flashing.agent import AUTHORITY, warn_of_tls
from gateway.flashing.flash import Request, flash
from gateway.flashing.places import ports_back
from gateway.flashing.tools import find_tool
from gateway.progress import Progress

S3, C3 = load_hardware("esp32_s3"), load_hardware("esp32_c3")
DK, MICROBIT, NUCLEO = load_hardware("nrf52840_dk"), load_hardware("microbit_v1"), load_hardware("nucleo_f767zi")


def esp_image(chip, size=0x20000):
    image = bytearray(b"\xff") * size
    image[0], image[0x10000] = 0xE9, 0xE9
    struct.pack_into("<H", image, 12, chip)
    return bytes(image)


def record(kind, address, data):
    body = bytes([len(data)]) + address.to_bytes(2, "big") + bytes([kind]) + data
    return f":{(body + bytes([-sum(body) & 0xFF])).hex().upper()}\n".encode()


def hex_image(stack, base=0):
    start = record(4, 0, (base >> 16).to_bytes(2, "big"))
    return start + record(0, 0, stack.to_bytes(4, "little") + bytes(12)) + record(1, 0, b"")


def dfu_image(product=0xDF11):
    body = b"DfuSe\x01" + bytes(300) + struct.pack("<HHHH3sB", 0, product, 0x0483, 0x11A, b"UFD", 16)
    return body + struct.pack("<I", zlib.crc32(body) ^ 0xFFFFFFFF)


GOOD = [
    (S3, 0, esp_image(9)),
    (C3, 0, esp_image(5)),
    (DK, 0, hex_image(0x20040000)),
    (MICROBIT, 0, hex_image(0x20004000)),
    (NUCLEO, 0, hex_image(0x20080000, 0x08000000)),
    (NUCLEO, 1, dfu_image()),
]


@pytest.mark.parametrize(("board", "way", "image"), GOOD, ids=lambda value: getattr(value, "name", ""))
def test_a_boards_own_image_is_taken_and_a_cut_one_is_not(board, way, image):
    check_image(board, board.flash[way], image)
    for cut in (b"", image[: len(image) // 4], b"x" + image):
        with pytest.raises(ImageError):
            check_image(board, board.flash[way], cut)


@pytest.mark.parametrize(
    ("board", "way", "image", "message"),
    [
        (S3, 0, esp_image(5), "chip: got an image for esp32c3, wanted esp32s3; take ESP32_GENERIC_S3-"),
        (C3, 0, esp_image(5, 0x200001), "file: got 2097153 bytes, wanted 2097152 at most, where the board's files"),
        (MICROBIT, 0, hex_image(0x20040000), "stack: got 0x20040000 for it, wanted the 16384 bytes of nRF51822"),
        (DK, 0, hex_image(0x20000000), "stack: got 0x20000000"),
        (DK, 0, hex_image(0x20040000, 0xF0000), "address: got 16 bytes at 0xf0000, wanted them in 0x0..0xf0000"),
        (NUCLEO, 1, dfu_image(0xDF12), "got one for 0483:df12, wanted 0483:df11"),
        (NUCLEO, 1, dfu_image()[:-1] + b"x", "the file is damaged; download it again"),
    ],
)
def test_another_boards_image_is_refused_by_what_is_wrong(board, way, image, message):
    with pytest.raises(ImageError, match=message):
        check_image(board, board.flash[way], image)


@settings(max_examples=80, derandomize=True)
@given(
    noise=some.one_of(some.binary(max_size=80), some.binary(max_size=40).map(lambda data: record(0, 0, data) + data))
)
def test_any_bytes_are_an_image_or_refused_in_words(noise):
    try:
        read_hex(noise)
    except ImageError as error:
        assert str(error).startswith(("line", "file"))
    for board, way, image in GOOD:
        for bytes_ in (noise, image[:20] + noise + image[20 + len(noise) :]):
            try:
                check_image(board, board.flash[way], bytes_)
            except ImageError:
                pass


def test_settings_of_an_esp32_are_cut_out_of_its_image():
    image = bytes(number >> 12 & 0xFF for number in range(0x20000))
    assert cut_esp(S3, image) == [(0, image[:0x9000]), (0x10000, image[0x10000:])]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (esptool_commands(S3.flash[0], "/dev/none", [(0, "IMAGE"), (0x10000, "IMAGE")], False)[0], "/dev/none"),
        (esptool_commands(C3.flash[0], "/dev/none", [(0, "IMAGE")], True)[0], "/dev/none"),
        (pyocd_commands(DK.flash[0], "IMAGE", "", False)[0], "No connected debug probes"),
        (pyocd_commands(MICROBIT.flash[0], "IMAGE", "1", True)[0], "probe"),
        (dfu_commands("IMAGE", "", False)[0], "No DFU capable USB device"),
        (openocd_commands(NUCLEO.flash[0], "IMAGE", "", False)[0], "open failed"),
    ],
)
def test_a_tools_own_parser_takes_the_command_and_misses_only_the_board(command, said, tmp_path):
    try:
        tool = find_tool(command[0])
    except CommandError as error:
        pytest.skip(str(error))
    image = tmp_path / "image"
    image.write_bytes(esp_image(9)[:0x9000] if command[0] == "esptool" else GOOD[2][2])
    command = [tool, *(str(image) if word == "IMAGE" else word for word in command[1:])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode and said in done.stdout + done.stderr and "sage:" not in done.stderr


@pytest.mark.parametrize("serial", ["x; exec touch {}", "[exec touch {}]", "$::env(HOME)[exec touch {}]"])
def test_what_a_probe_calls_itself_is_not_run_as_a_program(serial, tmp_path):
    try:
        tool = find_tool("openocd")
    except CommandError as error:
        pytest.skip(str(error))
    [[_, *words]] = openocd_commands(NUCLEO.flash[0], "IMAGE", serial.format(tmp_path / "mark"), False)
    subprocess.run([tool, *words], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("serial", ["}; exec true; {", "a\\", "a\nb", "\x1b[2J"])
def test_a_probe_that_no_command_can_name_is_refused(serial, tmp_path):
    (tmp_path / "image").write_bytes(hex_image(0x20080000, 0x08000000))
    probe = Plugged("usb", "/sys/x", "0483:374b", serial, (NUCLEO.name,), "probe", ())
    with pytest.raises(CommandError, match="wanted it without braces and backslashes.*; nothing was written") as caught:
        flash(Request(NUCLEO.name, firmware=tmp_path / "image"), Progress(), lambda: [probe])
    assert caught.value.code == Exit.REFUSED and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("target", ["esp32_s3", "/dev/none"])
def test_who_asks_to_erase_is_not_left_with_a_board_that_kept_all(target):
    with pytest.raises(CommandError, match="--erase: wanted --firmware FILE with it.*; nothing was done") as caught:
        flash(Request(target, port="/dev/none", erase=True), Progress(), list)
    assert caught.value.code == Exit.USAGE


def test_a_folder_that_holds_more_than_any_board_is_refused(tmp_path):
    with open(tmp_path / "disk.img", "wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(CommandError, match="disk.img: got more than 67108864 bytes, wanted .* to hold 64 MiB at most"):
        flash(Request("esp32_s3", "/dev/none", files=tmp_path), Progress(), list)


def plugged(*places, boards=("esp32_s3",)):
    return lambda: [Plugged("serial", place, "303a:4001", "", boards, "micropython", ()) for place in places]


@pytest.mark.parametrize(
    ("target", "image", "look", "code", "message"),
    [
        ("esp32_s3", esp_image(5), plugged("/dev/a"), Exit.REFUSED, "chip: got an image for esp32c3"),
        ("esp32_s3", esp_image(9), plugged(), Exit.PORT, "got none plugged in; hold BOOT, press RESET"),
        (
            "esp32_s3",
            esp_image(9),
            plugged("/dev/a", "/dev/b"),
            Exit.USAGE,
            r"got 2 \(/dev/a, /dev/b\), wanted one; name",
        ),
        (
            "esp32_s3",
            esp_image(9),
            plugged("/dev/none"),
            Exit.PORT,
            "/dev/none: got no such port; run: tinyren devices",
        ),
        (
            "/dev/a",
            esp_image(9),
            plugged("/dev/a", boards=("a", "b")),
            Exit.USAGE,
            "got a, b; run: tinyren flash BOARD",
        ),
        ("toaster", esp_image(9), plugged(), Exit.USAGE, "board: got 'toaster', wanted one of esp32_c3, "),
        ("qemu_virt_rv32", esp_image(9), plugged(), Exit.USAGE, "which is emulated and has nothing to flash"),
        ("rpi_aarch64", esp_image(9), plugged(), Exit.USAGE, "leave --firmware and --files out"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do_next(target, image, look, code, message, tmp_path):
    (tmp_path / "image").write_bytes(image)
    with pytest.raises(CommandError, match=message) as caught:
        flash(Request(target, firmware=tmp_path / "image"), Progress(), look)
    assert caught.value.code == code


def test_a_port_of_another_board_is_refused(tmp_path):
    (tmp_path / "image").write_bytes(esp_image(9))
    look = plugged("/dev/a", boards=("rpi_pico_w",))
    with pytest.raises(CommandError, match="/dev/a: got rpi_pico_w, wanted esp32_s3") as caught:
        flash(Request("esp32_s3", "/dev/a", tmp_path / "image"), Progress(), look)
    assert caught.value.code == Exit.REFUSED


def test_a_dry_run_shows_the_command_and_writes_nothing(tmp_path, capsys):
    (tmp_path / "image").write_bytes(esp_image(9))
    request = Request("esp32_s3", firmware=tmp_path / "image", dry_run=True)
    result = flash(request, Progress(), plugged("/dev/none"))
    assert not result.written and result.commands[0][:7] == ["esptool", "--chip", "esp32s3", "--port", "/dev/none",
                                                            "--baud", "460800"]  # fmt: skip
    assert result.commands[0][7:10:2] == ["write-flash", result.commands[0][9]] and "0x10000" in result.commands[0]


def test_a_drive_is_written_and_a_drive_of_another_board_is_not(tmp_path):
    image, drive = tmp_path / "image.uf2", tmp_path / "drive"
    image.write_bytes(uf2.write(b"firmware", 0x10000000, uf2.FAMILIES["rp2040"]))
    drive.mkdir()
    (drive / "CURRENT.UF2").write_bytes(image.read_bytes())
    for board_id, code in (("RP2350", Exit.REFUSED), ("", Exit.PORT)):
        (drive / "INFO_UF2.TXT").write_text(f"Board-ID: {board_id}\n")
        with pytest.raises(CommandError) as caught:
            flash(Request("rpi_pico_w", str(drive), image), Progress(), list)
        assert caught.value.code == code and not (drive / "TINYREN.UF2").exists()
    (drive / "INFO_UF2.TXT").write_text("Board-ID: RPI-RP2\n")
    assert flash(Request("rpi_pico_w", str(drive), image), Progress(), list, back_s=0).written
    assert (drive / "TINYREN.UF2").read_bytes() == image.read_bytes()


PICO = Plugged("serial", "/dev/a", "2e8a:0005", "", ("rpi_pico_w",), "micropython", ())
OTHER = Plugged("serial", "/dev/b", "2e8a:0005", "", ("rpi_pico_w",), "micropython", ())


@pytest.mark.parametrize(
    ("port", "before", "now", "found"),
    [
        ("/media/drive", [OTHER], [OTHER], []),  # it is not back yet: the other one is not it
        ("/media/drive", [OTHER], [OTHER, PICO], ["/dev/a"]),
        ("/media/drive", [], [OTHER, PICO], ["/dev/b", "/dev/a"]),
        ("/dev/a", [], [OTHER, PICO], ["/dev/a"]),
        ("/dev/c", [], [PICO], ["/dev/a"]),
    ],
)
def test_a_board_that_is_back_is_not_taken_for_another_of_its_kind(port, before, now, found):
    assert ports_back("rpi_pico_w", port, before, now) == found


def test_a_board_without_memory_for_tls_is_told_of_before_it_is_brought_an_authority():
    for name, files, is_told in (
        ("rpi_pico_w", {AUTHORITY: b"der"}, True),
        ("rpi_pico_w", {}, False),
        ("rpi_pico2_w", {AUTHORITY: b"der"}, False),
        ("esp32_c3", {AUTHORITY: b"der"}, False),
    ):
        said = io.StringIO()
        warn_of_tls(name, files, Progress(said))
        assert ("TLS finds no memory" in said.getvalue()) == bool(said.getvalue()) == is_told
