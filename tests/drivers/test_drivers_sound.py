"""Microphones and converters: how loud what they are given is, and what they refuse."""

import math
from array import array

import pytest

from device.drivers.adc import Adc
from device.drivers.i2s_microphone import I2sMicrophone
from device.drivers.pdm_microphone import PdmMicrophone
from tests.chips.ports import I2s, Spi


def read(driver):
    out = array("h", [0, 0])
    driver.read(out)
    return tuple(out)


@pytest.mark.parametrize("amplitude", [1 << 29, 1 << 26, 1 << 20])
def test_an_i2s_microphone_gives_the_mean_and_peak_of_each_block_once(amplitude):
    i2s = I2s([int(amplitude * math.sin(math.tau * i / 64)) & ~0xFF for i in range(64)])
    driver = I2sMicrophone(i2s, frames=512)
    with pytest.raises(OSError, match="the block is not full yet") as caught:
        read(driver)
    assert caught.value.args[0] == 11
    for _ in range(3):
        i2s.finish()
        mean, peak = read(driver)
        assert abs(mean / (amplitude / 65536 * 2 / math.pi) - 1) < 0.06 and abs(peak - amplitude / 65536) <= 1
        with pytest.raises(OSError, match="the block is not full yet"):
            read(driver)


def test_the_offset_of_a_microphone_is_no_sound():
    i2s = I2s([(1000 << 16) + (-1) ** i * (300 << 16) for i in range(2)])
    driver = I2sMicrophone(i2s)
    i2s.finish()
    assert read(driver) == (300, 300)


@pytest.mark.parametrize("amplitude", [900, 450, 90])
def test_a_pdm_microphone_gives_the_mean_and_peak_of_what_it_hears(amplitude):
    driver = PdmMicrophone(Spi(lambda clock: int(amplitude * math.sin(math.tau * clock / 2048))), length=2048)
    mean, peak = read(driver)
    assert abs(peak / (amplitude / 1000 * 32768) - 1) < 0.08
    assert abs(mean / (amplitude / 1000 * 32768 * 2 / math.pi) - 1) < 0.08


class Line:
    def __init__(self, byte):
        self.byte = byte

    def readinto(self, buffer):
        buffer[:] = bytes([self.byte]) * len(buffer)


def test_a_line_that_nobody_drives_is_an_error():
    for byte in (0x00, 0xFF):
        with pytest.raises(
            OSError, match="pdm_microphone: all frames are .*, wanted a microphone on the line"
        ) as caught:
            read(PdmMicrophone(Line(byte)))
        assert caught.value.args[0] == 5
    i2s = I2s([-1])
    driver = I2sMicrophone(i2s)
    i2s.finish()
    with pytest.raises(OSError, match="i2s_microphone: all frames are -1, wanted a microphone on the line"):
        read(driver)
    i2s.slots = [1 << 20, 1 << 22]
    i2s.finish()
    assert read(driver)[1] > 0


@pytest.mark.parametrize("length", [0, 24, 33])
def test_a_block_of_bits_that_makes_no_frames_is_refused(length):
    with pytest.raises(ValueError, match=f"length: got {length}, wanted a multiple of 8, 32 or more"):
        PdmMicrophone(None, length)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_block_of_less_than_two_frames_is_refused(frames):
    with pytest.raises(ValueError, match=f"frames: got {frames}, wanted 2 or more"):
        I2sMicrophone(I2s([0]), frames)


def test_a_converter_without_pins_is_refused():
    with pytest.raises(ValueError, match="pins: got none"):
        Adc()
