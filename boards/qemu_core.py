"""The core of the emulated boards: opens memory, sensors and what `agent.boot` decides shall run; it decides nothing.

A model in a bank takes no heap: it is used in flash where it lies, or copied to RAM that the firmware does not use. An
agent's bytecode is copied from flash too, which cannot be read while it is written. `main` forgets this module when all
is open, so it holds nothing that runs later; what only some boards or boots need is imported where it is used.
"""

import sys

import _tinyren
import board
import host_model
import machine
from agent import run as firmware
from agent.banks import AGENT, MODEL, Banks
from agent.boot import Boot
from agent.journal import Journal
from agent.sampling import LinkSource
from drivers.region import Region
from micropython import const
from uctypes import bytearray_at

FLASH_BASE = const(0x22000000)  # virt's second CFI flash
FLASH_SECTORS = const(16)
CHIPS = const(7)
COPY_BYTES = const(256)
AGENT_OFFSET = const(8388608)  # in unused RAM; the model lies before it
JOURNAL_BYTES = const(512)


def open_journal():
    """The last lines, in RAM that a reset keeps."""
    return Journal(memoryview(_tinyren.retained())[:JOURNAL_BYTES], _tinyren.reset_reason())


def open_receipts():
    """The rest of that RAM, for the windows that may be revealed: there they take no heap."""
    return memoryview(_tinyren.retained())[JOURNAL_BYTES:]


def open_memory():
    """All that keeps anything, as one memory."""
    if board.STORE == "at24c":
        from drivers.at24c import At24c

        return At24c(_tinyren.I2C(board.I2C_BUS), chips=CHIPS)
    from drivers.cfi_flash import CfiFlash

    return CfiFlash(machine.mem32, bytearray_at, FLASH_BASE, FLASH_SECTORS)


def open_regions():
    """{name: its part of the memory}."""
    memory = open_memory()
    return {name: Region(memory, *place) for name, place in board.REGIONS.items()}


def open_source():
    """Where samples come from: the bus, or the link on a board without one."""
    if board.I2C_BUS is None:
        return LinkSource()
    from drivers.lsm303dlhc import Lsm303dlhc
    from drivers.sample_source import SampleSource
    from drivers.tmp105 import Tmp105

    i2c = _tinyren.I2C(board.I2C_BUS)
    return SampleSource(Tmp105(i2c), Lsm303dlhc(i2c))


def open_boot(regions):
    """What runs in this boot: decided, verified, and kept."""
    reset = _tinyren.reset_reason()
    banks = Banks(regions["state"], (regions["model_a"], regions["model_b"]), (regions["agent_a"], regions["agent_b"]))
    return Boot(banks, _tinyren.BOARD, "error: fault" if reset == "error" else reset, _tinyren.ticks_ms())


def open_model(boot):
    """(model, offsets, shifts, sample_ms) of what boot decided."""
    bank, manifest = boot.bank_of(MODEL), boot.model
    wants = boot.wants or (host_model.OFFSETS, host_model.SHIFTS, host_model.SAMPLE_MS)
    if bank is None:
        return (_tinyren.Model(host_model.ARTIFACT),) + wants
    in_place = board.STORE == "cfi"
    address = FLASH_BASE + bank.memory.start + bank.offset if in_place else _copy(bank, manifest.size, 0)
    return (_tinyren.Model(address, manifest.size),) + wants


def open_agent(boot):
    """The module `run` of what boot decided: a package's, or the firmware's."""
    bank = boot.bank_of(AGENT)
    if bank is None:
        return firmware
    import vfs
    from agent.package import Package
    from package_files import PackageFiles

    size = boot.agent.size
    content = memoryview(bytearray_at(_copy(bank, size, AGENT_OFFSET), size))
    vfs.mount(PackageFiles(Package(bank.read, size).files, content), "/bank")
    sys.path.insert(0, "/bank")
    import tinyren_agent.run

    return tinyren_agent.run


def _copy(bank, size, offset):
    """Address of a copy of a bank's content in RAM that the firmware does not use, offset from its beginning."""
    address = board.RAM_ADDRESS + offset
    content = memoryview(bytearray_at(address, size))
    for at in range(0, size, COPY_BYTES):
        bank.read(at, content[at : at + COPY_BYTES])
    return address
