"""Key, boots and late records in files on MicroPython's own littlefs, with the power cut at each write of the flash."""

import pytest

from tests.stock_unix import new_unix

FLASH = """
import gc, os, vfs
gc.disable()  # a collection would close files of a flash whose power is cut
from agent.errors import StoreError
from agent.ring import Ring
from agent.store import Store
from stock.files import PAGE_BYTES, FileMemory, FilePages, read, replace, take

class Flash:
    def __init__(self, image=None):
        self.image, self.left = bytearray(image or b"\\xff" * (64 * 4096)), 1 << 30
    def readblocks(self, block, buffer, offset=0):
        at = block * 4096 + offset
        buffer[:] = self.image[at : at + len(buffer)]
    def writeblocks(self, block, buffer, offset=0):
        self.spend()
        at = block * 4096 + offset
        for place in range(len(buffer)):
            self.image[at + place] &= buffer[place]
    def spend(self):
        if self.left == 0:
            raise OSError(5)
        self.left -= 1
    def ioctl(self, operation, argument):
        if operation == 6:
            self.spend()
            self.image[argument * 4096 : (argument + 1) * 4096] = b"\\xff" * 4096
            return 0
        return {4: 64, 5: 4096}.get(operation, 0)

def mount(image=None, left=1 << 30):
    flash = Flash(image)
    if image is None:
        vfs.VfsLfs2.mkfs(flash, progsize=256)
    files = vfs.VfsLfs2(flash, progsize=256)
    vfs.mount(files, "/flash")
    os.chdir("/flash")
    flash.left = left
    return flash

def leave(flash):
    flash.left = 1 << 30
    os.chdir("/")
    vfs.umount("/flash")
    return bytes(flash.image)
"""
FIRST_BOOT = (
    FLASH
    + """
empty, cuts, is_over = leave(mount()), 0, False
while not is_over:
    flash = mount(empty, cuts)
    made = []
    def new_secret():
        made.append(bytes([len(made) + 1]) * 32)
        return made[-1]
    try:
        secret = Store(FileMemory("key", 1024)).open(new_secret)
        is_over = True
    except (OSError, StoreError):
        secret = None
    flash = mount(leave(flash))
    again = Store(FileMemory("key", 1024))
    kept = again.open(lambda: bytes([9]) * 32)
    assert secret is None or kept == secret and again.boot > 1, (cuts, kept, again.boot)
    leave(flash)
    cuts += 1
print(cuts > 3)
"""
)
LATER_BOOT = (
    FLASH
    + """
flash = mount()
store = Store(FileMemory("key", 1024))
store.open(lambda: bytes([1]) * 32)
store.bind(bytes([7]) * 20)
image, cuts, is_over = leave(flash), 0, False
while not is_over:
    flash = mount(image, cuts)
    boot = 0
    try:
        store = Store(FileMemory("key", 1024))
        assert store.open(None) == bytes([1]) * 32
        boot = store.boot
        store.release()
        is_over = True
    except (OSError, StoreError):
        pass
    flash = mount(leave(flash))
    again = Store(FileMemory("key", 1024))
    assert again.open(None) == bytes([1]) * 32 and again.boot > boot, (cuts, boot, again.boot)
    assert again.owner == (None if is_over else bytes([7]) * 20) or boot, (cuts, again.owner)
    leave(flash)
    cuts += 1
print(cuts > 3)
"""
)
RING = (
    FLASH
    + """
flash, kept, held = mount(), 0, 0
ring = Ring(FilePages("late", 4))
ring.open()
for number in range(40):
    cuts = number * 7 % 61
    flash.left = cuts
    try:
        ring.append(1, bytes(14), number.to_bytes(4, "big") + bytes(24))
        kept = number + 1
    except (OSError, StoreError):
        pass
    flash = mount(leave(flash))
    ring = Ring(FilePages("late", 4))
    ring.open()
    held += ring.held
    boot, beacon, records = ring.batch(40) or (0, 0, b"")
    numbers = [int.from_bytes(records[at : at + 4], "big") for at in range(0, len(records), 28)]
    assert not kept or kept - 1 in numbers, (number, kept, numbers)
print(held > 40, sorted(os.listdir("late")) == ["0"])
"""
)
BANK = (
    FLASH
    + """
import hashlib
from agent.banks import Bank
def new_bank():
    return Bank(FilePages("bank", 4, PAGE_BYTES))
def fill(bank, frame, content):
    bank.begin(frame, False)
    for at in range(0, len(content), 480):
        bank.write(at, content[at : at + 480])
old, new = bytes(range(251)) * 40, bytes(range(241)) * 30
flash = mount()
bank = new_bank()
fill(bank, b"old", old)
room = os.statvfs("/flash")[3]
bank.begin(b"again", True)
assert bank.digest(len(old)) == hashlib.sha256(old).digest() and os.statvfs("/flash")[3] == room
fill(bank, b"old", old)
image, cuts, is_over, seen = leave(flash), 0, False, set()
while not is_over:
    flash = mount(image, cuts)
    try:
        fill(new_bank(), b"new", new)
        is_over = True
    except OSError:
        pass
    flash = mount(leave(flash))
    bank = new_bank()
    frame = bank.frame()
    assert frame != b"old" or bank.digest(len(old)) == hashlib.sha256(old).digest(), cuts
    assert not is_over or frame == b"new" and bank.digest(len(new)) == hashlib.sha256(new).digest()
    seen.add(frame)
    leave(flash)
    cuts += 1
print(cuts > 30, seen == {b"old", None, b"new"}, bank.size)
"""
)
FULL = (
    FLASH
    + """
from agent.banks import Bank
flash = mount()
bank = Bank(FilePages("bank", 200, PAGE_BYTES))
bank.begin(b"large", False)
try:
    for at in range(0, 190 * 4096, 480):
        bank.write(at, bytes(480))
except OSError as error:
    print(error.args[0])
bank.begin(b"small", False)
bank.write(0, bytes(480))
print(bank.frame(), sorted(os.listdir("bank"))[:2])
"""
)
SIZES = (
    FLASH
    + """
flash = mount()
FileMemory("key", 1024).write(1000, b"end")
try:
    FileMemory("key", 2048)
except OSError as error:
    print(error.args[1])
buffer = bytearray(3)
FileMemory("key", 1024).read(1000, buffer)
print(bytes(buffer), os.stat("key")[6])
pages = FilePages("late", 3)
pages.read(2 * PAGE_BYTES, buffer)
print(bytes(buffer), os.listdir())
pages.write(PAGE_BYTES + 7, b"abc")
pages.read(PAGE_BYTES + 7, buffer)
print(bytes(buffer), os.listdir("late"), pages.size)
replace("end", b"old"), replace("end", b"new")
print(take("end", 2), take("end", 9), read("none", 9), sorted(os.listdir()))
"""
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return new_unix(tmp_path_factory.mktemp("lib"))


def test_a_first_boot_that_is_cut_anywhere_leaves_no_key_or_the_one_that_was_made(run):
    assert run(FIRST_BOOT) == ["True"]


def test_a_later_boot_that_is_cut_anywhere_keeps_the_key_and_no_boot_number_comes_twice(run):
    assert run(LATER_BOOT) == ["True"]


def test_a_late_record_that_was_kept_outlives_every_cut_after_it(run):
    assert run(RING) == ["True True"]


def test_a_bank_that_is_cut_anywhere_holds_what_its_header_says_or_no_header(run):
    assert run(BANK) == ["True True 12288"]


def test_a_bank_for_which_there_is_no_room_says_so_and_takes_what_fits(run):
    assert run(FULL) == ["28", "b'small' ['0', '1']"]


def test_a_file_of_another_size_is_refused_and_untouched_and_pages_are_made_when_they_are_written(run):
    assert run(SIZES) == [
        "key: got 1024 bytes, wanted 2048; what it keeps is not touched",
        "b'end' 1024",
        r"b'\xff\xff\xff' ['key']",
        "b'abc' ['1'] 12288",
        "b'ne' b'' b'' ['key', 'late']",
    ]
