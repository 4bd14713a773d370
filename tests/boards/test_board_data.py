"""Boards of silicon as data: all fields read, each wrong one named, apart from the emulated ones; and their table."""

import pytest

from boards.board import FOLDER, BoardError, board_names
from boards.hardware import NOT_PINNED, hardware_names, load_hardware, parse_hardware
from boards.natmod import ARCHITECTURES
from boards.table import board_rows, board_table, write_table
from tests.up_site import ROOT

TEXT = (FOLDER / "rpi_pico_w" / "hardware.toml").read_text()


def test_the_boards_are_those_of_the_issue_each_with_its_soc_and_way():
    boards = {name: load_hardware(name) for name in hardware_names()}
    assert {name: (board.soc, board.flash[0].tool) for name, board in boards.items()} == {
        "esp32_c3": ("ESP32-C3", "esptool"),
        "esp32_s3": ("ESP32-S3", "esptool"),
        "linux_x64": ("any", "ssh"),
        "microbit_v1": ("nRF51822", "pyocd"),
        "nrf52840_dk": ("nRF52840", "pyocd"),
        "nucleo_f767zi": ("STM32F767ZI", "openocd"),
        "rpi_aarch64": ("BCM2837 and later", "ssh"),
        "rpi_armv7": ("BCM2836 and later", "ssh"),
        "rpi_pico2_w": ("RP2350", "uf2"),
        "rpi_pico2_w_riscv": ("RP2350", "uf2"),
        "rpi_pico_w": ("RP2040", "uf2"),
    }


def test_a_folder_is_a_board_of_silicon_or_an_emulated_one():
    assert not set(hardware_names()) & set(board_names())
    with pytest.raises(BoardError, match="which is emulated .* tinyren emulate --board qemu_virt_rv32"):
        load_hardware("qemu_virt_rv32")
    with pytest.raises(BoardError, match="board: got '../boards/esp32_c3', wanted one of esp32_c3, esp32_s3, "):
        load_hardware("../boards/esp32_c3")


def test_firmware_and_files_of_a_microcontroller_lie_apart_so_that_flashing_keeps_the_files():
    for name in hardware_names():
        board = load_hardware(name)
        assert board.kind == "computer" or {"firmware", "files"} <= {region.name for region in board.memory}


def test_no_digest_is_claimed_that_is_none_and_no_hardware_that_was_not_there():
    for name in hardware_names():
        board = load_hardware(name)
        assert all(way.sha256 == NOT_PINNED or len(bytes.fromhex(way.sha256)) == 32 for way in board.flash)
        assert board.verified.hardware == "none"


def test_no_board_is_said_to_run_the_agent_whose_native_modules_cannot_be_built():
    boards = [load_hardware(name) for name in hardware_names()]
    agents = {board.native for board in boards if board.runs == "agent" and board.kind != "computer"}
    assert agents and agents <= ARCHITECTURES.keys()


def test_native_modules_are_built_for_all_but_xtensa():
    natives = {load_hardware(name).native for name in hardware_names()} - {""}
    assert natives - ARCHITECTURES.keys() == {"xtensawin"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title =", "titel =", "title is missing"),
        ("title =", "speed = 1\ntitle =", "got unknown field speed"),
        ("ram_bytes = 270336", 'ram_bytes = "big"', "ram_bytes: got 'big', wanted int"),
        ("ram_bytes = 270336", "ram_bytes = true", "ram_bytes: got True, wanted int"),
        (", margin_bytes = 256", "", "stack: margin_bytes is missing"),
        ("stack = {", "stack = 8192 #", "stack: got 8192, wanted a table"),
        ("title =", 'kind = "emulated"\ntitle =', "kind: got 'emulated', wanted microcontroller or computer"),
        ('tool = "uf2"', 'tool = "hammer"', "flash: tool: got 'hammer', wanted uf2 or "),
        ('family = "rp2040"', 'family = "rp1"', "flash: family: got 'rp1', wanted rp2040 or "),
        ('drive = "RPI-RP2"', "", "flash: drive is missing, which uf2 needs"),
        ('runs = "bootloader"', 'runs = "doom"', "usb: runs: got 'doom', wanted micropython or "),
        ("bytes = 868352", "bytes = 868353", "memory: got 2097153 bytes, wanted 2097152"),
        ("address = 0x1012c000", "address = 0x1012bfff", "memory: files: got 868352 bytes at 0x1012bfff, wanted more"),
        ('native = "armv6m"', "", "firmware, stack, memory and native: got not all"),
        ("[verified]", "[[verified]]", "verified: got [{"),
        ("title =", "title", "Expected '=' after a key"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_wanted(old, new, message):
    with pytest.raises(BoardError) as raised:
        parse_hardware("bench", TEXT.replace(old, new))
    assert message in str(raised.value) and str(raised.value).startswith("bench/hardware.toml: ")


def test_the_table_has_every_board_once_and_is_the_one_in_the_documentation(tmp_path):
    names = [row["board"] for row in board_rows()]
    assert names == [*hardware_names(), *board_names()]
    assert len({tuple(row) for row in board_rows()}) == 1
    assert len(board_table().splitlines()) == 2 + len(names)
    write_table(tmp_path / "boards.md")
    told = (ROOT / "docs" / "boards.md").read_text()
    assert (tmp_path / "boards.md").read_text() == told, "run: tinyren boards --write docs/boards.md"
