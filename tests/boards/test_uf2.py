"""UF2 files: what is written is read again, each damage is named, and no bytes make the reader do anything else."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from boards import uf2
from boards.uf2 import FAMILIES, FILE_CONTAINER, HAS_MD5, NOT_MAIN_FLASH, TAG_DEVICE, TAG_VERSION, Uf2Error

PICO = FAMILIES["rp2040"]
START = 0x10000000
WORDS = {"first": 0, "second": 4, "flags": 8, "address": 12, "size": 16, "number": 20, "count": 24, "family": 28}
CONTENT = bytes(range(256)) * 2 + b"end"
FILE = uf2.write(CONTENT, START, PICO)


def changed(file, block, **words):
    """The file with words of one block set; `end` is its last."""
    out = bytearray(file)
    for name, value in words.items():
        struct.pack_into("<I", out, block * 512 + WORDS.get(name, 508), value)
    return bytes(out)


def test_a_block_has_the_octets_of_the_specification():
    block = uf2.write(b"\x01\x02", START, PICO)
    head = bytes.fromhex("5546320a 57515d9e 00200000 00000010 00010000 00000000 01000000 56ff8be4")
    assert block[:32] == head and block[32:35] == b"\x01\x02\xff" and block[288:508] == bytes(220)
    assert block[508:] == bytes.fromhex("306fb10a") and len(block) == 512


@settings(max_examples=60, derandomize=True)
@given(
    content=some.binary(min_size=1, max_size=2000),
    page=some.integers(0, (1 << 24) - 16),
    family=some.sampled_from(sorted(FAMILIES.values())),
    tags=some.dictionaries(some.integers(1, (1 << 24) - 1), some.binary(max_size=20), max_size=5),
)
def test_what_is_written_is_read_again(content, page, family, tags):
    (image,) = uf2.read(uf2.write(content, page * 256, family, tags))
    assert (image.family, image.start, image.tags) == (family, page * 256, tags)
    assert image.content == content.ljust(image.written, b"\xff") and image.written - len(content) < 256


@pytest.mark.parametrize(
    ("content", "start", "tags", "message"),
    [
        (b"", START, {}, "content: got 0 bytes"),
        (b"x", START + 1, {}, "start: got 0x10000001"),
        (b"x" * 257, 0xFFFFFF00, {}, "start: got 0xffffff00"),
        (b"x", START, {TAG_VERSION: bytes(240)}, "tags: got 244 bytes, wanted 216 at most"),
    ],
)
def test_what_cannot_be_a_file_is_not_written(content, start, tags, message):
    with pytest.raises(ValueError, match=message):
        uf2.write(content, start, PICO, tags)


def test_one_file_for_boards_of_several_families_gives_each_its_own():
    files = {name: uf2.write(name.encode() * 90, page << 12, FAMILIES[name]) for page, name in enumerate(FAMILIES)}
    images = uf2.read(uf2.join(*files.values()))
    assert [image.family for image in images] == list(FAMILIES.values())
    for name, image in zip(FAMILIES, images, strict=True):
        assert image == uf2.read(files[name])[0] and uf2.digest(image) == uf2.digest(uf2.read(files[name])[0])
    assert len({uf2.digest(image) for image in images}) == len(FAMILIES)


def test_a_small_file_cannot_ask_for_much_memory():
    pair = changed(uf2.write(bytes(512), 0, 1), 1, address=(60 << 20) - 256)
    assert len(uf2.read(pair)[0].content) == 60 << 20
    bomb = b"".join(changed(changed(pair, 0, family=number), 1, family=number) for number in range(100))
    with pytest.raises(
        Uf2Error, match="family 0x1: got addresses 0x0 to 0x3c00000, wanted 64 MiB of them at most in one"
    ):
        uf2.read(bomb)


def test_two_images_of_one_family_or_of_none_are_not_joined():
    nameless = b"".join(changed(FILE[at * 512 : at * 512 + 512], 0, flags=0) for at in range(3))
    for files in ((FILE, FILE), (nameless,), (FILE, nameless)):
        with pytest.raises(Uf2Error, match="families: got .* wanted each once, and named"):
            uf2.join(*files)


def test_the_order_of_blocks_and_blocks_for_elsewhere_do_not_matter():
    blocks = [FILE[at : at + 512] for at in range(0, len(FILE), 512)]
    elsewhere = [changed(blocks[0], 0, flags=flag) for flag in (NOT_MAIN_FLASH, FILE_CONTAINER)]
    assert uf2.read(b"".join([*elsewhere, *reversed(blocks)]))[0].content == uf2.read(FILE)[0].content
    with pytest.raises(Uf2Error, match="got no block for a board's main flash"):
        uf2.read(elsewhere[0])


def test_a_hole_is_erased_flash_and_not_what_was_written():
    apart = changed(FILE, 2, address=START + 1024)
    (image,) = uf2.read(apart)
    assert image.content[512:1024] == b"\xff" * 512 and image.written == 768 and len(image.content) == 1280


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "file: got 0 bytes"),
        (FILE[:-1], "file: got 1535 bytes, wanted whole blocks"),
        (FILE[:-512], "got 2 blocks, wanted 3"),
        (FILE + FILE[:512], "got 4 blocks, wanted 3"),
        (changed(FILE, 1, number=0), "got 3 blocks, wanted 3, each once"),
        (changed(FILE, 1, address=START), "got 0x10000000 twice"),
        (changed(FILE, 1, address=START + 255), "got 0x100000ff twice"),
        (changed(FILE, 1, address=START + (64 << 20)), "wanted 64 MiB"),
        (changed(FILE, 1, address=0xFFFFFF80), "block 2: got 256 bytes at 0xffffff80"),
        (changed(FILE, 1, size=477), "block 2: got 477 bytes"),
        (changed(FILE, 1, size=0), "block 2: got 0 bytes"),
        (changed(FILE, 1, number=3), "block 2: got number 3 of 3"),
        (changed(FILE, 1, count=4), "got 3 blocks, wanted 4"),
        (changed(FILE, 2, first=0), "block 3: got 0x0 "),
        (changed(FILE, 2, second=0), "block 3: got 0xa324655 0x0 "),
        (changed(FILE, 2, end=0), "block 3: got "),
        (changed(uf2.write(b"x", START, PICO, {TAG_DEVICE: b"board"}), 0, size=470), None),
    ],
)
def test_each_damage_is_named(file, message):
    if message is None:  # a tag's place is behind the content, so another size moves it off the tag
        assert uf2.read(file)[0].tags == {}
        return
    with pytest.raises(Uf2Error, match=message):
        uf2.read(file)


def test_the_block_that_rp2350_never_writes_is_no_image_and_stays_with_its_family():
    family = FAMILIES["rp2350-riscv"]
    first = changed(uf2.write(b"\xef" * 256, 0x10FFFF00, uf2.ABSOLUTE, {0x9957E3: b""}), 0, count=2)
    file = uf2.join(first + uf2.write(CONTENT, START, family), FILE)
    assert [image.family for image in uf2.read(file)] == [family, PICO]
    assert uf2.select(file, family) == file[: 4 * 512] and uf2.select(file, PICO) == FILE
    assert uf2.select(FILE, family) == b""
    with pytest.raises(Uf2Error, match="got 1 blocks, wanted 2"):
        uf2.read(first[:32] + b"x" + first[33:])


@pytest.mark.parametrize("family", [PICO, FAMILIES["rp2350-riscv"]])
def test_what_is_added_behind_an_image_is_written_with_it_and_numbered_on(family):
    ignored = changed(uf2.write(b"\xef" * 256, 0x10FFFF00, uf2.ABSOLUTE), 0, count=2)
    start = uf2.write(CONTENT, START, family, {TAG_VERSION: b"1.25"})
    before = (ignored if family != PICO else b"") + start
    made = uf2.add(before + uf2.write(b"other", START, FAMILIES["esp32s3"]), family, START + 0x2000, b"files" * 100)
    (image,) = uf2.read(made)
    assert image.content[: len(CONTENT)] == CONTENT and image.content[0x2000:].startswith(b"files" * 100)
    assert image.tags == {TAG_VERSION: b"1.25"} and len(made) == len(before) + 2 * 512
    assert made.startswith(before[: -len(start)]) and uf2.select(made, family) == made


@pytest.mark.parametrize(
    ("file", "start", "message"),
    [
        (FILE, START + 0x200, "got 0x10000200 twice"),
        (FILE[:-512], START + 0x2000, "got 2 blocks, wanted 3"),
        (uf2.write(b"x", START, FAMILIES["esp32s3"]), START + 0x2000, "got no block of 0xe48bff56"),
    ],
)
def test_nothing_is_added_over_an_image_or_to_one_that_is_cut_or_another_boards(file, start, message):
    with pytest.raises(Uf2Error, match=message):
        uf2.add(file, PICO, start, b"files")


@pytest.mark.parametrize("size", [1, 3, 221])
def test_a_tag_that_is_cut_is_refused(size):
    block = bytearray(uf2.write(b"x", START, PICO, {TAG_VERSION: b"1"}))
    block[32 + 256] = size
    with pytest.raises(Uf2Error, match=f"got a tag of {size} bytes, wanted 4..220"):
        uf2.read(bytes(block))


def test_a_digest_of_a_block_is_left_to_the_board():
    blocks = b"".join(changed(FILE[at : at + 512], 0, flags=HAS_MD5 | 0x2000) for at in range(0, len(FILE), 512))
    assert uf2.read(blocks) == uf2.read(FILE)


@settings(max_examples=120, derandomize=True)
@given(
    file=some.one_of(some.binary(max_size=1100), some.just(FILE)),
    changes=some.lists(some.tuples(some.integers(0, len(FILE) - 1), some.integers(0, 255)), max_size=6),
)
def test_any_bytes_are_images_or_an_error_that_says_where(file, changes):
    damaged = bytearray(file)
    for at, value in changes:
        damaged[at : at + 1] = bytes([value]) if at < len(damaged) else b""
    try:
        images = uf2.read(bytes(damaged))
    except Uf2Error as error:
        assert str(error).startswith(("file", "block", "family", "no family"))
    else:
        assert sum(image.written for image in images) <= len(damaged)
