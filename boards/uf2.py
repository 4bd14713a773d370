"""UF2 files: images for boards that show themselves as a drive, written and read; refuses a file that is not whole.

A file is blocks of 512 octets, each with an address and at most 476 octets of content. A board writes the blocks of its
own family and skips the others, so images of several families in one file are one image for all these boards.

Files for RP2350 begin with a block that its boot ROM never writes (RP2350-E10: family "absolute", octets 0xEF); it is
no image, and stays with the images of that SoC.

Sources: Microsoft's UF2 file format (README of microsoft/uf2: layout, flags, extension tags) and its list of families;
RP2350 datasheet, errata.
"""

import hashlib
import struct
from dataclasses import dataclass, field

BLOCK_BYTES = 512
DATA_BYTES = 476
PAYLOAD_BYTES = 256  # what every bootloader takes, a page of flash
BLOCKS_MAX = 1 << 17
SPAN_BYTES = 64 << 20  # from the first address to the last, of all families: a few blocks far apart are no firmware

FAMILIES = {
    "rp2040": 0xE48BFF56,
    "rp2350-arm-s": 0xE48BFF59,
    "rp2350-riscv": 0xE48BFF5A,
    "esp32s3": 0xC47E5767,
    "esp32c3": 0xD42BA06C,
    "nrf52840": 0xADA52840,
    "stm32f7": 0x53B80F00,
    "stm32h7": 0x6DB66082,
}
ABSOLUTE = 0xE48BFF57
RP2350 = (FAMILIES["rp2350-arm-s"], FAMILIES["rp2350-riscv"])
NOT_MAIN_FLASH, FILE_CONTAINER, HAS_FAMILY, HAS_MD5, HAS_TAGS = 0x1, 0x1000, 0x2000, 0x4000, 0x8000
TAG_VERSION, TAG_DEVICE, TAG_PAGE_BYTES, TAG_SHA2, TAG_DEVICE_TYPE = 0x9FC7BC, 0x650D9D, 0x0BE9F7, 0xB46DB0, 0xC8A729

_FIRST, _SECOND, _END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_HEAD = struct.Struct("<8I")
_PLACE = struct.Struct("<2I")
_TAIL = struct.Struct("<I")


class Uf2Error(Exception):
    """The file is no UF2 file, or not whole; the message names the block, what was got and what was wanted."""


@dataclass(frozen=True)
class Image:
    """What one family's blocks say.

    Attributes:
        family: a number of FAMILIES or another; None where blocks name none.
        start: the first address.
        content: octets from there on; what no block wrote is 0xFF.
        written: octets that blocks wrote.
        tags: extension tags of the first block, octets by number.
    """

    family: int | None
    start: int
    content: bytes
    written: int
    tags: dict[int, bytes] = field(default_factory=dict)


def write(content: bytes, start: int, family: int, tags: dict[int, bytes] | None = None) -> bytes:
    """A UF2 file of one image.

    Args:
        start: address of the first octet, a multiple of 256.
        family: a number of FAMILIES.
        tags: extension tags, in every block.
    Raises:
        ValueError: nothing to write, too much, an address that is no multiple, or tags that do not fit.
    """
    count = -(-len(content) // PAYLOAD_BYTES)
    if not 0 < count <= BLOCKS_MAX:
        raise ValueError(f"content: got {len(content)} bytes, wanted 1..{BLOCKS_MAX * PAYLOAD_BYTES}")
    if start % PAYLOAD_BYTES or not 0 <= start <= 0xFFFFFFFF - count * PAYLOAD_BYTES:
        raise ValueError(f"start: got {start:#x}, wanted a multiple of {PAYLOAD_BYTES} below 4 GiB")
    packed = _pack_tags(tags or {})
    flags = HAS_FAMILY | (HAS_TAGS if packed else 0)
    blocks = []
    for number in range(count):
        at = number * PAYLOAD_BYTES
        payload = content[at : at + PAYLOAD_BYTES].ljust(PAYLOAD_BYTES, b"\xff")
        head = _HEAD.pack(_FIRST, _SECOND, flags, start + at, PAYLOAD_BYTES, number, count, family)
        blocks.append(head + (payload + packed).ljust(DATA_BYTES, b"\0") + _TAIL.pack(_END))
    return b"".join(blocks)


def join(*files: bytes) -> bytes:
    """One file for the boards of all these, each of another family.

    Raises:
        Uf2Error: one is no UF2 file, names no family, or two are of one family.
    """
    families = [image.family for file in files for image in read(file)]
    if None in families or len(set(families)) != len(families):
        raise Uf2Error(f"families: got {[family and hex(family) for family in families]}, wanted each once, and named")
    return b"".join(files)


def add(file: bytes, family: int, start: int, content: bytes) -> bytes:
    """The blocks of one family with further octets, which a board writes with the others before it leaves.

    Args:
        start: address of the first further octet, a multiple of 256.
    Raises:
        Uf2Error: a block is damaged, the file has none of that family, or writes to these addresses already.
        ValueError: as `write`.
    """
    if family not in [image.family for image in read(file)]:
        raise Uf2Error(f"family: got no block of {family:#x}, wanted a file for that board")
    own: list[bytes] = []
    ignored: list[bytes] = []
    for block in _split(select(file, family)):
        (ignored if _is_ignored(_read_block(block, 0)) else own).append(block)
    own += _split(write(content, start, family))
    numbered = [block[:20] + _PLACE.pack(number, len(own)) + block[28:] for number, block in enumerate(own)]
    made = b"".join(ignored + numbered)
    read(made)
    return made


def read(file: bytes) -> list[Image]:
    """The images of a file, by family, in the order of their first blocks.

    Raises:
        Uf2Error: a block is damaged, missing or twice, or they are further apart than SPAN_BYTES.
    """
    found: dict[int | None, list[_Block]] = {}
    for block in _read_blocks(file):
        if not block.flags & (NOT_MAIN_FLASH | FILE_CONTAINER) and not _is_ignored(block):
            found.setdefault(block.family, []).append(block)
    if not found:
        raise Uf2Error("file: got no block for a board's main flash, wanted one")
    images: list[Image] = []
    for family, blocks in found.items():
        images.append(_join_blocks(family, blocks, SPAN_BYTES - sum(len(image.content) for image in images)))
    return images


def select(file: bytes, family: int) -> bytes:
    """The blocks of one family alone, as they are, so that a board has all of them when the file ends; b"" if none.

    Raises:
        Uf2Error: a block is damaged; whether all are there is for `read` to say.
    """
    return b"".join(
        raw
        for raw, block in zip(_split(file), _read_blocks(file), strict=True)
        if block.family == family or (family in RP2350 and _is_ignored(block))
    )


def _split(file: bytes) -> list[bytes]:
    return [file[at : at + BLOCK_BYTES] for at in range(0, len(file), BLOCK_BYTES)]


@dataclass(frozen=True)
class _Block:
    flags: int
    address: int
    payload: bytes
    number: int
    count: int
    family: int | None
    tags: dict[int, bytes]


def _read_blocks(file: bytes) -> list[_Block]:
    if not file or len(file) % BLOCK_BYTES:
        raise Uf2Error(f"file: got {len(file)} bytes, wanted whole blocks of {BLOCK_BYTES}")
    if len(file) > BLOCKS_MAX * BLOCK_BYTES:
        raise Uf2Error(f"file: got {len(file) // BLOCK_BYTES} blocks, wanted {BLOCKS_MAX} at most")
    return [_read_block(block, number) for number, block in enumerate(_split(file))]


def _is_ignored(block: _Block) -> bool:
    place = (block.family, block.number, block.count)
    return place == (ABSOLUTE, 0, 2) and block.payload == b"\xef" * PAYLOAD_BYTES


def _read_block(block: bytes, number: int) -> _Block:
    first, second, flags, address, size, index, count, family = _HEAD.unpack_from(block)
    (end,) = _TAIL.unpack_from(block, BLOCK_BYTES - 4)
    where = f"block {number + 1}"
    if (first, second, end) != (_FIRST, _SECOND, _END):
        raise Uf2Error(f"{where}: got {first:#x} {second:#x} {end:#x}, wanted {_FIRST:#x} {_SECOND:#x} {_END:#x}")
    if not 0 < size <= DATA_BYTES or address + size > 1 << 32:
        raise Uf2Error(f"{where}: got {size} bytes at {address:#x}, wanted 1..{DATA_BYTES} below 4 GiB")
    if not index < count:
        raise Uf2Error(f"{where}: got number {index} of {count}, wanted it below")
    data = block[_HEAD.size : _HEAD.size + DATA_BYTES]
    tags = _read_tags(data[(size + 3) & ~3 :], where) if flags & HAS_TAGS else {}
    return _Block(flags, address, data[:size], index, count, family if flags & HAS_FAMILY else None, tags)


def _join_blocks(family: int | None, blocks: list[_Block], most_bytes: int) -> Image:
    name = "no family" if family is None else f"family {family:#x}"
    if {block.count for block in blocks} != {len(blocks)} or len({block.number for block in blocks}) != len(blocks):
        wanted = max(block.count for block in blocks)
        raise Uf2Error(f"{name}: got {len(blocks)} blocks, wanted {wanted}, each once: the file is cut or joined wrong")
    ordered = sorted(blocks, key=lambda block: block.address)
    start, end = ordered[0].address, max(block.address + len(block.payload) for block in blocks)
    if end - start > most_bytes:
        wanted = f"wanted {SPAN_BYTES >> 20} MiB of them at most in one file"
        raise Uf2Error(f"{name}: got addresses {start:#x} to {end:#x}, {wanted}")
    content = bytearray(b"\xff") * (end - start)
    at = start
    for block in ordered:
        if block.address < at:
            raise Uf2Error(f"{name}: got {block.address:#x} twice, wanted each address once")
        content[block.address - start : block.address - start + len(block.payload)] = block.payload
        at = block.address + len(block.payload)
    return Image(family, start, bytes(content), sum(len(block.payload) for block in blocks), blocks[0].tags)


def _pack_tags(tags: dict[int, bytes]) -> bytes:
    """Each tag: its length with this head, its number in 24 bits, its octets, zeros to a multiple of 4; 4 zeros end."""
    packed = b"".join(
        (bytes([4 + len(value)]) + number.to_bytes(3, "little") + value).ljust((7 + len(value)) & ~3, b"\0")
        for number, value in tags.items()
    )
    if packed and len(packed) + 4 > DATA_BYTES - PAYLOAD_BYTES:
        raise ValueError(f"tags: got {len(packed)} bytes, wanted {DATA_BYTES - PAYLOAD_BYTES - 4} at most")
    return packed


def _read_tags(data: bytes, where: str) -> dict[int, bytes]:
    tags: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data) and data[at]:
        size = data[at]
        if size < 4 or at + size > len(data):
            raise Uf2Error(f"{where}: got a tag of {size} bytes, wanted 4..{len(data) - at}")
        tags[int.from_bytes(data[at + 1 : at + 4], "little")] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return tags


def digest(image: Image) -> bytes:
    """SHA-256 of what an image writes, 32 bytes."""
    return hashlib.sha256(image.content).digest()
