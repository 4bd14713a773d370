"""Every driver with the model that it is tested against, as text that CPython and MicroPython run alike.

A new driver gets a file beside this one with a `Model` of its chip, and a row here: how the driver is made from `i2c`
(and `model`), what the model is told, in the chip's own numbers, what `read` writes then, and in which units.
"""

import re
from collections import namedtuple
from pathlib import Path

Scene = namedtuple("Scene", "module make show values units begin")
ON_I2C = "model = Model()\ni2c = Bus({model.address: model})\n"
DEG, PA, RH = "1/256 degC", "4 Pa", "1/256 %RH"
GAUSS, MILLI_G = ("1/1100 gauss", "1/1100 gauss", "1/980 gauss"), ("1/1000 g",) * 3
MOTION = ("1/16384 g",) * 3 + ("1/131 deg/s",) * 3
CALENDAR = ("year", "month", "day", "hour", "minute", "second")
LEVEL = ("mean, 1/32768 of full scale", "peak, 1/32768 of full scale")

_ROWS = [
    ("tmp105", "Tmp105(i2c)", "model.show(6415)", (6400,), (DEG,)),
    ("tmp105", "Tmp105(i2c)", "model.show(-14080)", (-14080,), (DEG,)),
    ("lsm303dlhc", "Lsm303dlhc(i2c)", "model.show(2047, -2048, -1)", (2047, -2048, -1), GAUSS),
    ("tmp421", "Tmp421(i2c)", "model.show(-10240)", (-10240,), (DEG,)),
    ("tmp421", "Tmp421(i2c, channels=2)", "model.show(6416, 32752)", (6416, 32752), (DEG,) * 2),
    ("emc1413", "Emc1413(i2c)", "model.show(6432)", (6432,), (DEG,)),
    ("emc1413", "Emc1413(i2c, channels=3)", "model.show(-32, 32736, 256)", (-32, 32736, 256), (DEG,) * 3),
    # -40 degC, 120 kPa; 85 degC, 30 kPa: the ends of its range, and of the integers that do not allocate
    ("dps310", "Dps310(i2c)", "model.show(-6299894, 274755)", (-10240, 29999), (DEG, PA)),
    ("dps310", "Dps310(i2c)", "model.show(6159988, 49546)", (21760, 7499), (DEG, PA)),
    ("dps310", "Dps310(i2c)", "model.show(-3000000, 200000)", (382, 25181), (DEG, PA)),
    # -40 degC, 30 kPa, 95 %RH; 85 degC, 110 kPa, 100 %RH, so
    ("bme280", "Bme280(i2c)", "model.show(313708, 813183, 38691)", (-10241, 7499, 24318), (DEG, PA, RH)),
    ("bme280", "Bme280(i2c)", "model.show(712471, 414926, 36617)", (21759, 27499, 25600), (DEG, PA, RH)),
    # BMP280 data sheet, 3.12: 25.08 degC, 100653 Pa; appendix 8.1 of BME280's: 44.8 %RH
    ("bme280", "Bme280(i2c)", "model.show(519888, 415148, 28000)", (6421, 25163, 11473), (DEG, PA, RH)),
    ("ds1338", "Ds1338(i2c)", "model.show(2026, 11, 22, 18, 30, 59)", (2026, 11, 22, 18, 30, 59), CALENDAR),
    ("lis2dh12", "Lis2dh12(i2c)", "model.show(1000, -2048, 2047)", (1000, -2048, 2047), MILLI_G),
    ("mpu6050", "Mpu6050(i2c)", "model.show(1, -2, 16384, -32768, 32767, 0)", (1, -2, 16384, -32768, 32767, 0), MOTION),
    # 0.4 * 175 - 45 degC, 0.5 * 125 - 6 %RH
    ("sht4x", "Sht4x(i2c)", "model.show(0x6666, 0x8000)", (6400, 14464), (DEG, RH)),
    ("sht4x", "Sht4x(i2c)", "model.show(0, 0)", (-11520, 0), (DEG, RH)),
    ("sht4x", "Sht4x(i2c)", "model.show(0xFFFF, 0xFFFF)", (32767, 25600), (DEG, RH)),
]
_OWN = [  # drivers of what is on the board itself
    ("adc", "Adc(*pins)", "pass", (0, 32767), ("1/32768 of the reference",) * 2, "pins = Pin(1), Pin(65535)\n"),
    ("i2s_microphone", "I2sMicrophone(i2s)", "i2s.finish()", (8192, 8192), LEVEL, "i2s = I2s((1 << 29, -1 << 29))\n"),
    ("pdm_microphone", "PdmMicrophone(spi)", "pass", (12516, 13108), LEVEL, "spi = Spi(wave)\n"),
]
SCENES = [Scene(*row, ON_I2C) for row in _ROWS] + [Scene(*row) for row in _OWN]
NO_SENSORS = {"__init__", "at24c", "atecc608", "cfi_flash", "level", "region", "registers", "sample_source"}

TESTS, DRIVERS = Path(__file__).parent, Path(__file__).parents[2] / "device" / "drivers"


def source(scene):
    """Driver, model and what they need, as one text without imports of ours."""
    models = "ports.py" if scene.begin != ON_I2C else f"{scene.module}.py"
    return driver_source(scene.module) + "\n" + _text(TESTS / "bus.py", TESTS / models)


def driver_source(module):
    """The driver alone, with what it needs, so."""
    return _text(DRIVERS / "registers.py", DRIVERS / "level.py", DRIVERS / f"{module}.py")


def _text(*files):
    return "\n".join(re.sub(r"^from (\.|tests\.)\S* import .*$", "", file.read_text(), flags=re.M) for file in files)
