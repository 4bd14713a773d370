"""Firmware files of boards that are no drives: checked against a board's data before any tool runs. It writes nothing.

A file is refused if it is damaged, is for another chip, or reaches into the part of flash where the board's files are.
An ESP32's file is one image from address 0 on that holds blanks where the settings are, so it is cut around them.

Sources: Intel, Hexadecimal Object File Format Specification (1988); Espressif, esptool's firmware image format
(extended header, chip id); ST UM0391, DfuSe file format (prefix, suffix); Arm v6-M and v7-M, vector table.
"""

import struct
import zlib

from boards.hardware import Flash, Hardware

KEPT = ("settings", "radio", "files")
ESP_CHIPS = {"esp32s3": 9, "esp32c3": 5}
RAM_START = 0x20000000
FILE_BYTES = 64 << 20
_ESP_MAGIC = 0xE9
_DFU_SUFFIX = struct.Struct("<HHHH3sBI")


class ImageError(Exception):
    """The file is not for the board, or damaged; nothing was written. Says what was got, wanted, and what to take."""


def check_image(board: Hardware, way: Flash, file: bytes) -> None:
    """Raises ImageError unless `file` is what the board takes this way (esptool, dfu-util, openocd, pyocd)."""
    if len(file) > FILE_BYTES:
        raise ImageError(f"file: got {len(file)} bytes, wanted {FILE_BYTES} at most; take {way.file}")
    if way.tool == "esptool":
        _check_esp(board, way, file)
    elif way.tool == "dfu-util":
        _check_dfu(way, file)
    else:
        _check_hex(board, way, file)


def cut_esp(board: Hardware, file: bytes) -> list[tuple[int, bytes]]:
    """The parts of an ESP32's image, (address, octets), without those that a board keeps."""
    parts, start = [], 0
    for region in board.memory:
        if region.name in KEPT:
            parts.append((start, file[start : region.address]))
            start = region.address + region.bytes
    return [(at, part) for at, part in [*parts, (start, file[start:])] if part]


def read_hex(text: bytes) -> list[tuple[int, bytes]]:
    """The runs of octets of an Intel HEX file, (address, octets), in its order; raises ImageError with the line."""
    runs: list[tuple[int, bytes]] = []
    base = 0
    for number, line in enumerate(text.split(), 1):
        try:
            record = bytes.fromhex(line[1:].decode("ascii")) if line[:1] == b":" else b""
        except ValueError:
            record = b""
        if len(record) < 5 or record[0] != len(record) - 5 or sum(record) & 0xFF:
            raise ImageError(f"line {number}: got {line[:48]!r}, wanted a whole record of Intel HEX; download it again")
        kind, data = record[3], record[4:-1]
        if kind == 0:
            runs.append((base + int.from_bytes(record[1:3], "big"), data))
        elif kind == 1:
            return runs
        elif kind in (2, 4) and len(data) == 2:
            base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
        elif kind not in (3, 5):
            raise ImageError(f"line {number}: got a record of kind {kind}, wanted 0 to 5; download it again")
    raise ImageError("file: got no end record, wanted one: the file is cut; download it again")


def _check_hex(board: Hardware, way: Flash, file: bytes) -> None:
    runs = read_hex(file)
    regions = [region for region in board.memory if region.name not in KEPT]
    for address, data in runs:
        if not any(region.address <= address <= region.address + region.bytes - len(data) for region in regions):
            where = ", ".join(f"{region.address:#x}..{region.address + region.bytes:#x}" for region in regions)
            raise ImageError(f"address: got {len(data)} bytes at {address:#x}, wanted them in {where}; take {way.file}")
    stack = next((data[:4] for address, data in runs if address == board.memory[0].address and len(data) >= 4), b"")
    end = int.from_bytes(stack, "little")
    if not RAM_START < end <= RAM_START + board.ram_bytes:
        got = f"{end:#x}" if stack else "none"
        raise ImageError(f"stack: got {got} for it, wanted the {board.ram_bytes} bytes of {board.soc}; take {way.file}")


def _check_esp(board: Hardware, way: Flash, file: bytes) -> None:
    if len(file) < 24 or file[0] != _ESP_MAGIC:
        raise ImageError(f"file: got {file[:1].hex() or 'nothing'} at its start, wanted e9; take {way.file}")
    (chip,) = struct.unpack_from("<H", file, 12)
    if chip != ESP_CHIPS[way.chip]:
        name = next((name for name, number in ESP_CHIPS.items() if number == chip), f"chip {chip}")
        raise ImageError(f"chip: got an image for {name}, wanted {way.chip}; take {way.file}")
    end = min(region.address for region in board.memory if region.name == "files")
    if len(file) > end:
        raise ImageError(f"file: got {len(file)} bytes, wanted {end} at most, where the board's files begin")
    start = next(region.address for region in board.memory if region.name == "firmware")
    if file[start : start + 1] != bytes([_ESP_MAGIC]):
        raise ImageError(f"file: got no firmware at {start:#x}, wanted the whole image; take {way.file}")


def _check_dfu(way: Flash, file: bytes) -> None:
    if len(file) < 11 + _DFU_SUFFIX.size or file[:5] != b"DfuSe":
        raise ImageError(f"file: got {file[:5]!r} at its start, wanted b'DfuSe'; take {way.file}")
    _, product, vendor, _, mark, _, crc = _DFU_SUFFIX.unpack_from(file, len(file) - _DFU_SUFFIX.size)
    if mark != b"UFD" or crc != zlib.crc32(file[:-4]) ^ 0xFFFFFFFF:
        raise ImageError("file: got an end that does not fit its content: the file is damaged; download it again")
    if (vendor, product) != (0x0483, 0xDF11):
        raise ImageError(f"file: got one for {vendor:04x}:{product:04x}, wanted 0483:df11; take {way.file}")
