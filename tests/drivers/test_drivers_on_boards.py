"""Drivers on an emulated Cortex-M3: against QEMU's models on its I2C bus, and against ours with the heap locked."""

from ast import literal_eval
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from tests.chips.formulas import dps310, dps310_coefficients
from tests.chips.scenes import SCENES, driver_source, source

CHIPS = [
    "tmp421,id=tmp421,address=0x4c",
    "emc1413,id=emc1413,address=0x4d",
    "dps310,id=dps310,address=0x77",
    "ds1338,id=ds1338,address=0x68",
]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A running board with more chips on the bus than it comes with."""
    board = load_board("qemu_mps2_an385")
    arguments = [argument for chip in CHIPS for argument in ("-device", chip)]
    emulator = board.emulator | {"arguments": board.emulator["arguments"] + arguments}
    firmware = build(board, lambda *progress: None)
    with Emulator(replace(board, emulator=emulator), firmware.elf, tmp_path_factory.mktemp("board")) as running:
        yield running


@pytest.fixture
def repl(board):
    with board.open_repl() as repl:
        repl.exec("from _tinyren import I2C\nfrom array import array\ni2c = I2C(3)\nout = array('h', [0] * 6)")
        yield repl


def read(repl):
    return literal_eval(repl.exec("driver.read(out)\nprint(tuple(out[:len(driver.units)]))"))


def put(board, chip, **milli):
    for name, value in milli.items():
        board.qmp("qom-set", path=f"/machine/peripheral/{chip}", property=name, value=value)


@pytest.mark.parametrize("local, remote", [(0, 0), (401, -1), (2016, -640), (-640, 2016)])
def test_the_tmp421_of_a_board_is_read_in_both_channels(board, repl, local, remote):
    repl.exec(driver_source("tmp421") + "\ndriver = Tmp421(i2c, channels=2)")
    # Here in 1/16 degC. The properties are in 1/1000, cut to 1/16 after half of one of them is taken off.
    put(board, "tmp421", temperature0=local * 1000 // 16 + 1, temperature1=remote * 1000 // 16 + 1)
    assert read(repl) == (local * 16, remote * 16)


# QEMU's chip has whole degrees, no low bytes and no diode faults.
@pytest.mark.parametrize("degrees", [(0, 1, 2), (127, 0, 25)])
def test_the_emc1413_of_a_board_is_read_in_all_channels(board, repl, degrees):
    repl.exec(driver_source("emc1413") + "\ndriver = Emc1413(i2c, 0x4d, channels=3)")
    put(board, "emc1413", **{f"temperature{i}": value * 1000 for i, value in enumerate(degrees)})
    assert read(repl) == tuple(value * 256 for value in degrees)


WITH_IDENTITY = """
class Bus:  # QEMU's chip has no identity, and keeps of a write to its status what the real one does not: no ready bits
    def __init__(self, i2c):
        self.writeto_mem, self._i2c = i2c.writeto_mem, i2c
    def readfrom_mem_into(self, address, register, buffer):
        self._i2c.readfrom_mem_into(address, register, buffer)
        if register == 0x0D:
            assert buffer[0] == 0xFF
            buffer[0] = 0x10
        if register == 0x08:
            buffer[0] |= 0x30
driver = Dps310(Bus(i2c))
memory = i2c.readfrom_mem(0x77, 0, 0x22)
print(tuple(memory))
"""


def test_the_dps310_of_a_board_is_compensated_as_its_data_sheet_says(repl):
    memory = bytes(literal_eval(repl.exec(driver_source("dps310") + WITH_IDENTITY)))
    raw = [int.from_bytes(memory[at : at + 3], "big", signed=True) for at in (0, 3)]
    degrees, pascal = dps310(dps310_coefficients(memory[0x10:]), *raw)
    temperature, pressure = read(repl)
    assert abs(temperature - degrees * 256) <= 1
    assert abs(pressure - pascal / 4) <= 1


def test_the_ds1338_of_a_board_tells_the_hosts_time_and_can_be_set(repl):
    repl.exec(driver_source("ds1338") + "\ndriver = Ds1338(i2c)")
    assert abs(datetime(*read(repl), tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=5)
    # QEMU sets field by field, so no day that another month may not have.
    repl.exec("driver.set(2035, 12, 24, 23, 0, 9)")
    assert timedelta(0) <= datetime(*read(repl)) - datetime(2035, 12, 24, 23, 0, 9) < timedelta(minutes=5)
    with pytest.raises(EmulatorError, match="month: got 13, wanted it within its range"):
        repl.exec("driver.set(2030, 13, 1, 0, 0, 0)")
    assert read(repl)[:3] == (2035, 12, 24)


def test_a_board_joins_the_chips_of_its_bus_into_a_sample(board, repl):
    repl.exec(driver_source("tmp421") + "\nfrom drivers.sample_source import SampleSource")
    repl.exec("from drivers.lsm303dlhc import Lsm303dlhc\nfrom drivers.tmp105 import Tmp105")
    repl.exec("source = SampleSource(Tmp105(i2c), Lsm303dlhc(i2c), Tmp421(i2c), take=(4, 0, 1, 3))")
    board.set_sample((6400, 11, 12, 13))
    put(board, "tmp421", temperature0=50001)
    assert repl.exec("print(source.read(out), source.name, tuple(out[2:]))").split(" ", 2) == [
        "True",
        "tmp105+lsm303dlhc+tmp421",
        "(12800, 6400, 11, 13)\n",
    ]


def test_a_chip_that_is_not_on_the_bus_is_named(repl):
    repl.exec(driver_source("lis2dh12"))
    with pytest.raises(EmulatorError, match="lis2dh12 at 0x18: register 0xf: no answer"):
        repl.exec("Lis2dh12(i2c)")


LOCKED = """
import micropython
reading = False
def lock():
    if reading:
        micropython.heap_lock()
def unlock():
    if reading:
        micropython.heap_unlock()

class Unlocked:  # the models may allocate, the driver that calls them may not
    def __init__(self, port):
        self._port = port
    def writeto(self, address, data):
        unlock()
        self._port.writeto(address, data)
        lock()
    def writeto_mem(self, address, register, data):
        self._port.writeto_mem(address, register, data)
    def readfrom_into(self, address, buffer):
        unlock()
        try:
            self._port.readfrom_into(address, buffer)
        finally:
            lock()
    def readfrom_mem_into(self, address, register, buffer):
        unlock()
        self._port.readfrom_mem_into(address, register, buffer)
        lock()
    def readinto(self, buffer):
        unlock()
        self._port.readinto(buffer)
        lock()
"""
BEGIN = """
for name in ("i2c", "spi"):
    if name in globals():
        globals()[name] = Unlocked(globals()[name])
"""
READ = """
out = array("h", [0] * (len(driver.units) + 1))
reading = True
lock()
try:
    driver.read(out, 1)
finally:
    unlock()
    reading = False
print((tuple(out[1:]), driver.units, driver.name))
"""


@pytest.mark.parametrize("scene", SCENES, ids=[f"{scene.make} {scene.show}" for scene in SCENES])
def test_a_sensor_reads_the_same_on_a_32_bit_board_and_allocates_nothing(repl, scene):
    repl.exec(source(scene))
    repl.exec(LOCKED + scene.begin + BEGIN + f"driver = {scene.make}\n{scene.show}\n")
    assert literal_eval(repl.exec(READ)) == (scene.values, scene.units, scene.module)
