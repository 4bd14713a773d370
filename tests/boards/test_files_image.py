"""The image of a board's files: MicroPython itself mounts it, finds every file, and writes on behind them."""

import hashlib
import json
import subprocess

import pytest

from boards.board import BoardError
from boards.files_image import BLOCK_BYTES, files_region, make_image
from boards.hardware import hardware_names, load_hardware
from boards.unix import build_unix

FILES = {
    "main.py": b"print('hi')\n",
    "lib/agent/wire.mpy": bytes(range(256)) * 40,
    "lib/empty": b"",
    "ä.txt": b"\xff" * 9,
}
MOUNT = """
import hashlib, json, os, vfs
from binascii import hexlify
class Flash:
    def __init__(self, path, size):
        with open(path, "rb") as file:
            self.bytes = bytearray(file.read())
        self.bytes.extend(bytes(size - len(self.bytes)))  # what the image leaves out is whatever was there
    def readblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        buffer[:] = self.bytes[at : at + len(buffer)]
    def writeblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        self.bytes[at : at + len(buffer)] = buffer
    def ioctl(self, op, argument):
        return {4: len(self.bytes) // 4096, 5: 4096}.get(op, 0)
flash = Flash(IMAGE, SIZE)
vfs.mount(flash, "/board")
with open("/board/settings.json", "w") as file:
    file.write("{}")
vfs.umount("/board")
vfs.mount(vfs.VfsLfs2(flash, progsize=256), "/board")
found = {}
def look(folder):
    for name, kind, *_ in os.ilistdir("/board" + folder):
        path = folder + "/" + name
        if kind == 0x4000:
            look(path)
        else:
            with open("/board" + path, "rb") as file:
                found[path[1:]] = hexlify(hashlib.sha256(file.read()).digest()).decode()
look("")
print(json.dumps(found))
"""
BOARDS = ["rpi_pico_w", "rpi_pico2_w", "esp32_c3", "esp32_s3"]


@pytest.fixture(scope="module")
def micropython():
    return build_unix(lambda *_: None)


@pytest.mark.parametrize("name", BOARDS)
def test_micropython_mounts_it_and_has_every_file_and_room_for_more(name, micropython, tmp_path):
    region = files_region(load_hardware(name))
    image = make_image(FILES, region)
    assert len(image) % BLOCK_BYTES == 0 and len(image) < 100_000
    (tmp_path / "image").write_bytes(image)
    program = f"IMAGE = {str(tmp_path / 'image')!r}\nSIZE = {region.bytes}\n{MOUNT}"
    done = subprocess.run([micropython, "-X", "heapsize=32m", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = FILES | {"settings.json": b"{}"}
    assert json.loads(done.stdout) == {path: hashlib.sha256(content).hexdigest() for path, content in wanted.items()}


def test_equal_files_give_equal_images():
    region = files_region(load_hardware("rpi_pico_w"))
    assert make_image(FILES, region) == make_image(dict(reversed(FILES.items())), region) != make_image({}, region)


def test_files_that_do_not_fit_are_refused_with_what_would():
    region = files_region(load_hardware("rpi_pico_w"))
    with pytest.raises(BoardError, match="got 868352 bytes in 1 files, wanted what fits into a file system of 868352"):
        make_image({"big": bytes(region.bytes)}, region)
    with pytest.raises(BoardError, match="xxx: .*wanted a name that a board can keep"):
        make_image({"x" * 256: b""}, region)
    full = make_image({"big": bytes(region.bytes - 16 * BLOCK_BYTES)}, region)
    assert region.bytes - 20 * BLOCK_BYTES < len(full) <= region.bytes


def test_a_board_without_such_a_file_system_is_refused():
    for name in set(hardware_names()) - set(BOARDS) - {"rpi_pico2_w_riscv"}:
        with pytest.raises(BoardError, match="without a littlefs"):
            files_region(load_hardware(name))
