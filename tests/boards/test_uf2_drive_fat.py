"""FAT file systems as drives of UF2 bootloaders, mounted by FUSE: what a real drive does that a folder does not."""

import contextlib
import os
import re
import shutil
import subprocess
import time

import pytest

from boards import uf2
from boards.drive import CURRENT, IMAGE, INFO, DriveError, WrongImage, find_drives, read_drive, write_drive
from boards.uf2 import FAMILIES

PROGRAMS = ("mkfs.vfat", "fusefat", "fusermount")
pytestmark = pytest.mark.skipif(
    not (all(map(shutil.which, PROGRAMS)) and os.access("/dev/fuse", os.W_OK)),
    reason="needs /dev/fuse, dosfstools and fusefat: tinyren setup --tests",
)
PICO, PICO2 = FAMILIES["rp2040"], FAMILIES["rp2350-arm-s"]
CONTENT = bytes(range(256)) * 1000
FILE = uf2.write(CONTENT, 0x10000000, PICO)
KILOBYTES = 4200  # the least that is FAT16 with clusters of one sector
WAIT_S = 10


class Fat:
    """A FAT image that is mounted at `path`, and unplugged."""

    def __init__(self, folder, board_id):
        self.path, self._image = folder / board_id, folder / f"{board_id}.img"
        self.path.mkdir()
        make = ["mkfs.vfat", "-F", "16", "-s", "1", "-C", str(self._image), str(KILOBYTES)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        self.plug_in()
        if board_id:
            (self.path / INFO).write_bytes(b"UF2 Bootloader v3.0\r\nBoard-ID: %s\r\n" % board_id.encode())

    def plug_in(self):
        command = ["fusefat", "-f", "-o", "rw+", str(self._image), str(self.path)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **quiet)
        end_s = time.monotonic() + WAIT_S
        while not self.path.is_mount() and time.monotonic() < end_s:
            time.sleep(0.01)
        assert self.path.is_mount()

    def pull(self):
        """Unplug it while it is in use: its files answer with errors until the system has let go of it."""
        self._process.kill()
        self._process.wait()

    def leave(self):
        """What is left of the mount goes."""
        self._process.kill()
        self._process.wait()
        subprocess.run(["fusermount", "-u", "-q", "-z", str(self.path)], check=False)


@pytest.fixture
def plug(tmp_path):
    """plug(board_id): a drive that is there until the test ends."""
    with contextlib.ExitStack() as ends:

        def plug(board_id="RPI-RP2"):
            fat = Fat(tmp_path, board_id)
            ends.callback(fat.leave)
            return fat

        yield plug


def leaving(fat, stage="write", at=1.0):
    """A board that is gone once a stage is that far."""

    def report(name, fraction):
        if name == stage and fraction >= at:
            (fat.leave if at == 1.0 else fat.pull)()

    return report


def ignore(_stage, _fraction):
    pass


def test_a_file_is_on_the_file_system_whole_and_by_its_short_name(plug):
    fat = plug()
    write_drive(read_drive(fat.path), FILE, PICO, leaving(fat))
    assert read_drive(fat.path) is None  # it left, as a board does
    fat.plug_in()
    assert (fat.path / IMAGE).read_bytes() == FILE
    assert all(re.fullmatch(r"[A-Z0-9_]{1,8}\.[A-Z0-9]{3}", name) for name in (IMAGE, INFO, CURRENT))


def test_a_drive_that_is_full_says_so_and_keeps_what_tells_which_it_is(plug):
    fat = plug()
    (fat.path / "OLD.BIN").write_bytes(bytes(KILOBYTES * 1024 - 400_000))
    with pytest.raises(DriveError, match=r"RPI-RP2: .+ after \d+ of 512000 bytes; nothing is lost: bring the board to"):
        write_drive(read_drive(fat.path), FILE, PICO, ignore)
    assert read_drive(fat.path).board_id == "RPI-RP2"


def test_a_drive_that_is_pulled_in_mid_write_is_told_and_the_same_command_goes_on(plug):
    fat = plug()
    with pytest.raises(DriveError, match=r"Transport endpoint is not connected after \d+ of 512000 bytes; nothing is"):
        write_drive(read_drive(fat.path), FILE, PICO, leaving(fat, at=0.2))
    fat.leave()
    fat.plug_in()
    (fat.path / IMAGE).unlink()  # a bootloader keeps no file
    write_drive(read_drive(fat.path), FILE, PICO, leaving(fat))
    fat.plug_in()
    assert (fat.path / IMAGE).read_bytes() == FILE


def test_of_two_drives_at_once_each_gets_its_own_and_the_other_stays_as_it_was(plug):
    pico, pico2 = plug("RPI-RP2"), plug("RP2350")
    mounts = "".join(f"/dev/sd{letter}1 {fat.path} vfat rw 0 0\n" for letter, fat in (("a", pico), ("b", pico2)))
    found = {drive.board_id: drive for drive in find_drives(mounts)}
    assert set(found) == {"RPI-RP2", "RP2350"}
    joined = uf2.join(FILE, uf2.write(b"two" * 999, 0x10000000, PICO2))
    with pytest.raises(WrongImage, match="family: got rp2040, wanted rp2350-arm-s; take the file of this board"):
        write_drive(found["RP2350"], FILE, PICO2, ignore)
    write_drive(found["RP2350"], joined, PICO2, leaving(pico2))
    assert [path.name for path in pico.path.iterdir()] == [INFO]
    pico2.plug_in()
    assert (pico2.path / IMAGE).read_bytes() == uf2.select(joined, PICO2)


def test_a_drive_without_its_information_or_with_anothers_is_not_written(plug):
    fat = plug()
    drive = read_drive(fat.path)
    for text in (None, b"Board-ID: RP2350\r\n", b"Model: x\r\n"):
        (fat.path / INFO).unlink(missing_ok=True)
        if text:
            (fat.path / INFO).write_bytes(text)
        with pytest.raises(DriveError, match="got another drive than before, wanted RPI-RP2; plug it in again"):
            write_drive(drive, FILE, PICO, ignore)
        assert not (fat.path / IMAGE).exists()
