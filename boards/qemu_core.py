"""The core of the emulated boards: opens memory, sensors and what `agent.boot` decides shall run; it decides nothing.

A model in a bank takes no heap: it is used in flash where it lies, or copied to RAM that the firmware does not use. An
agent's bytecode is copied from flash too, which cannot be read while it is written.
"""

import sys

import _tinyren
import board
import host_model
import machine
import vfs
from agent import run as firmware
from agent.banks import AGENT, MODEL, Banks
from agent.boot import Boot
from agent.journal import Journal
from agent.package import Package
from agent.sampling import LinkSource
from agent.suit import decode_parameters
from drivers.at24c import At24c
from drivers.cfi_flash import CfiFlash
from drivers.lsm303dlhc import Lsm303dlhc
from drivers.region import Region
from drivers.sample_source import SampleSource
from drivers.tmp105 import Tmp105
from micropython import const
from package_files import PackageFiles
from uctypes import bytearray_at

FLASH_BASE = const(0x22000000)  # virt's second CFI flash
FLASH_SECTORS = const(16)
CHIPS = const(7)
COPY_BYTES = const(256)
AGENT_OFFSET = const(8388608)  # in unused RAM; the model lies before it
SHOWN_MS = const(5000)
WATCHDOG_MS = const(16000)
JOURNAL_BYTES = const(512)


def feed():
    """Tell the watchdog that the core goes on."""
    _tinyren.watchdog(WATCHDOG_MS)


def open_journal():
    """The last lines, in RAM that a reset keeps."""
    return Journal(memoryview(_tinyren.retained())[:JOURNAL_BYTES], _tinyren.reset_reason())


def open_memory():
    """All that keeps anything, as one memory."""
    if board.STORE == "at24c":
        return At24c(_tinyren.I2C(board.I2C_BUS), chips=CHIPS)
    return CfiFlash(machine.mem32, bytearray_at, FLASH_BASE, FLASH_SECTORS)


def open_regions():
    """{name: its part of the memory}."""
    memory = open_memory()
    return {name: Region(memory, *place) for name, place in board.REGIONS.items()}


def open_source():
    """Where samples come from: the bus, or the link on a board without one."""
    if board.I2C_BUS is None:
        return LinkSource()
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
    if manifest:
        wants = decode_parameters(manifest.parameters)[:3]
    else:
        wants = host_model.OFFSETS, host_model.SHIFTS, host_model.SAMPLE_MS
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
    size = boot.agent.size
    content = memoryview(bytearray_at(_copy(bank, size, AGENT_OFFSET), size))
    vfs.mount(PackageFiles(Package(bank.read, size).files, content), "/bank")
    sys.path.insert(0, "/bank")
    import tinyren_agent.run

    return tinyren_agent.run


def end(error, boot, journal):
    """Keep why this boot ended, show it, and reset -> never. boot: None if nothing was decided yet."""
    sys.print_exception(error)
    reason, reset = f"error: {type(error).__name__}: {error}", "asked"
    try:
        journal.note(_tinyren.ticks_ms() // 1000, reason)
        boot.fail(reason)
    except Exception as other:  # whatever it is, the board has to come back
        sys.print_exception(other)
        reset = "error"
    feed()
    _tinyren.idle(SHOWN_MS)
    _tinyren.reset(reset)


def _copy(bank, size, offset):
    """Address of a copy of a bank's content in RAM that the firmware does not use, offset from its beginning."""
    address = board.RAM_ADDRESS + offset
    content = memoryview(bytearray_at(address, size))
    for at in range(0, size, COPY_BYTES):
        bank.read(at, content[at : at + COPY_BYTES])
    return address
