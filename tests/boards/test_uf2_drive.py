"""A folder as the drive of a UF2 bootloader: what is written, what is refused with nothing written, and how it ends."""

import os

import pytest

from boards import drive, uf2
from boards.drive import (
    CURRENT,
    GONE_S,
    IMAGE,
    INFO,
    Drive,
    DriveError,
    WrongImage,
    find_drives,
    read_drive,
    write_drive,
)
from boards.hardware import hardware_names, load_hardware
from boards.uf2 import FAMILIES

TEXT = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
PICO = FAMILIES["rp2040"]
CONTENT = bytes(range(256)) * 1000
FILE = uf2.write(CONTENT, 0x10000000, PICO)


@pytest.fixture
def mounted(tmp_path):
    (tmp_path / INFO).write_text(TEXT, newline="")
    return read_drive(tmp_path)


def vanishes(mounted, at):
    """A board that leaves when a stage is that far, and the list of what it was told."""
    said = []

    def report(stage, fraction):
        said.append((stage, fraction))
        if stage == "write" and fraction >= at and (mounted.path / INFO).exists():
            (mounted.path / INFO).unlink()

    return report, said


def ignore(_stage, _fraction):
    pass


def test_a_drive_is_known_by_its_information_file(mounted, tmp_path):
    assert mounted == Drive(tmp_path, "RPI-RP2", "Raspberry Pi RP2")
    for text in (b"", b"Board-ID:\n", b"Model: x\n", b"\xff" * 9000):
        (tmp_path / INFO).write_bytes(text)
        assert read_drive(tmp_path) is None
    assert read_drive(tmp_path / "nothing") is None


def test_drives_are_found_among_the_mounts_of_fat_alone(mounted, tmp_path):
    other = tmp_path / "other\\ disk of Zoë"
    other.mkdir()
    (other / INFO).write_text(TEXT.replace("RPI-RP2", "RP2350"))
    escaped = str(other).replace("\\", "\\134").replace(" ", "\\040")
    mounts = f"/dev/sda1 {tmp_path} ext4 rw 0 0\n/dev/sdb1 {escaped} vfat rw 0 0\n/dev/sdc1 /nothing vfat rw 0 0\n\nx\n"
    assert [item.board_id for item in find_drives(mounts)] == ["RP2350"]
    assert isinstance(find_drives(), list)


def test_a_board_that_leaves_after_the_last_block_has_taken_it(mounted):
    report, said = vanishes(mounted, 1.0)
    write_drive(mounted, FILE, PICO, report)
    assert (mounted.path / IMAGE).read_bytes() == FILE
    assert said[0] == ("write", 0.0) and said[-1] == ("verify", 1.0) and ("write", 1.0) in said


def test_of_an_image_for_all_boards_each_is_sent_its_own(mounted):
    files = {name: uf2.write(name.encode() * 200, 0x10000000, family) for name, family in FAMILIES.items()}
    report, _ = vanishes(mounted, 1.0)
    write_drive(mounted, uf2.join(*files.values()), FAMILIES["rp2350-riscv"], report)
    assert (mounted.path / IMAGE).read_bytes() == files["rp2350-riscv"]


def test_a_drive_that_stays_is_compared_with_what_it_holds(mounted):
    def board(stage, fraction):
        if (stage, fraction) == ("write", 1.0):
            (mounted.path / CURRENT).write_bytes(uf2.write(bytes(256) + CONTENT + bytes(256), 0x0FFFFF00, PICO))

    write_drive(mounted, FILE, PICO, board)
    assert (mounted.path / INFO).exists()


@pytest.mark.parametrize("current", [b"", b"noise", uf2.write(b"before" * 99, 0x10000000, PICO)])
def test_a_drive_that_stays_and_holds_another_image_is_an_error(mounted, current, monkeypatch):
    monkeypatch.setattr(drive, "GONE_S", 0.1)
    (mounted.path / CURRENT).write_bytes(current)
    with pytest.raises(DriveError, match="stays and holds another image; nothing is lost: bring the board to its boot"):
        write_drive(mounted, FILE, PICO, ignore)
    assert GONE_S >= 5


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "file: got 0 bytes"),
        (FILE[:-512], "got 999 blocks, wanted 1000, each once: the file is cut or joined wrong; download it again"),
        (uf2.write(b"x", 0, FAMILIES["esp32s3"]), "family: got esp32s3, wanted rp2040; take the file of this board"),
        (uf2.write(b"x", 0, 0x12345678), "family: got 0x12345678, wanted rp2040"),
        (FILE[:8] + bytes(4) + FILE[12:512], "family 0x|no family: got 1 blocks"),
    ],
)
def test_a_wrong_image_is_refused_and_nothing_is_written(mounted, file, message):
    with pytest.raises(WrongImage, match=message):
        write_drive(mounted, file, PICO, ignore)
    assert os.listdir(mounted.path) == [INFO]


def test_a_board_that_vanishes_in_mid_flash_is_told_and_the_same_command_goes_on(mounted):
    report, said = vanishes(mounted, 0.1)
    with pytest.raises(DriveError, match="No such file or directory after 65536 of 512000 bytes; nothing is lost"):
        write_drive(mounted, FILE, PICO, report)
    assert ("write", 1.0) not in said
    (mounted.path / INFO).write_text(TEXT, newline="")
    write_drive(mounted, FILE, PICO, vanishes(mounted, 1.0)[0])
    assert (mounted.path / IMAGE).read_bytes() == FILE


def test_a_full_drive_is_told(mounted):
    (mounted.path / IMAGE).symlink_to("/dev/full")
    with pytest.raises(DriveError, match="No space left on device after 0 of 512000 bytes"):
        write_drive(mounted, FILE, PICO, ignore)


def test_another_drive_in_its_place_is_not_written(mounted):
    (mounted.path / INFO).write_text(TEXT.replace("RPI-RP2", "RP2350"))
    with pytest.raises(DriveError, match="got another drive than before, wanted RPI-RP2"):
        write_drive(mounted, FILE, PICO, ignore)
    assert os.listdir(mounted.path) == [INFO]


def test_each_board_with_a_drive_has_a_family_and_the_drives_name():
    ways = {name: load_hardware(name).flash[0] for name in hardware_names()}
    drives = {name: (way.drive, way.family) for name, way in ways.items() if way.tool == "uf2"}
    assert drives == {
        "rpi_pico_w": ("RPI-RP2", "rp2040"),
        "rpi_pico2_w": ("RP2350", "rp2350-arm-s"),
        "rpi_pico2_w_riscv": ("RP2350", "rp2350-riscv"),
    }
