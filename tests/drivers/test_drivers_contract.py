"""The contract that every sensor's driver keeps (device/drivers/README.md), against a model of its chip."""

import ast
import inspect
import re
from array import array
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chips.scenes import DRIVERS, NO_SENSORS, ON_I2C, SCENES, source

MOST_LINES = 102
BEFORE = 7  # what is in `out` wherever a driver has nothing to write
SENSORS = {scene.module: scene for scene in SCENES}
CHIPS = {module: scene for module, scene in SENSORS.items() if scene.begin == ON_I2C}
every_scene = pytest.mark.parametrize("scene", SCENES, ids=[f"{scene.make} {scene.show}" for scene in SCENES])
every_sensor = pytest.mark.parametrize("scene", SENSORS.values(), ids=SENSORS)
every_chip = pytest.mark.parametrize("scene", CHIPS.values(), ids=CHIPS)


class Stage:
    """A scene that has begun: names of its text are attributes, `driver` and `out` too."""

    def __init__(self, scene, show=True):
        exec(compiled(scene), self.__dict__)
        self.scene = scene
        if show:
            self.make()
            self.run(scene.show)

    def make(self):
        self.driver = eval(self.scene.make, self.__dict__)
        self.out = array("h", [BEFORE] * (len(self.driver.units) + 2))
        self.before = self.out[:]

    def run(self, text):
        exec(text, self.__dict__)

    def read(self):
        self.driver.read(self.out, 1)
        return tuple(self.out[1:-1])


@cache
def compiled(scene):
    return compile(source(scene) + "\n" + scene.begin, scene.module, "exec")


def called(scene):
    return scene.make.partition("(")[0]


@every_scene
def test_a_sensor_writes_its_values_in_its_units_and_nothing_else(scene):
    stage = Stage(scene)
    assert stage.read() == scene.values
    assert stage.out[0] == stage.out[-1] == BEFORE
    assert stage.driver.name == scene.module
    assert stage.driver.units == scene.units and len(scene.units) == len(scene.values)
    if "full scale" not in scene.units[0]:  # a microphone's block is heard once
        stage.run(scene.show)
        assert stage.driver.read(stage.out) is None
        assert tuple(stage.out[: len(scene.values)]) == scene.values


@every_chip
def test_a_chip_that_does_not_answer_is_an_error_that_names_it(scene):
    stage = Stage(scene, show=False)
    stage.i2c.chips.clear()
    with pytest.raises(OSError, match=f"{scene.module} at {stage.model.address:#x}: ") as caught:
        stage.make()
    assert caught.value.args[0] == 19


@every_chip
def test_another_address_is_asked_when_it_is_given(scene):
    stage = Stage(scene, show=False)
    stage.i2c.chips[0x11] = stage.i2c.chips.pop(stage.model.address)
    stage.scene = scene._replace(make=f"{called(scene)}(i2c, address=0x11)")
    stage.make()
    assert list(inspect.signature(type(stage.driver).__init__).parameters)[1:3] == ["i2c", "address"]


@every_chip
def test_a_bus_that_is_stuck_is_an_error_at_the_start_and_later_and_changes_nothing(scene):
    stage = Stage(scene)
    stage.i2c.fault = 110
    with pytest.raises(OSError, match=f"{scene.module} at ") as caught:
        stage.read()
    assert caught.value.args[0] == 110 and stage.out == stage.before
    with pytest.raises(OSError, match=f"{scene.module} at "):
        stage.make()


class Low:
    """A data line that is held low: it acknowledges everything and is all zeros."""

    def write(self, data):
        pass

    def read(self, count):
        return bytes(count)


@every_chip
def test_zeros_of_a_line_that_is_held_low_are_not_taken_for_a_chip(scene):
    stage = Stage(scene, show=False)
    stage.i2c.chips[stage.model.address] = Low()
    with pytest.raises(OSError, match=f"{scene.module} at "):
        stage.make()
        stage.read()


@every_chip
def test_a_chip_that_comes_back_is_read_again(scene):
    stage = Stage(scene)
    stage.i2c.fault = 19
    for _ in range(3):
        with pytest.raises(OSError):
            stage.read()
    stage.i2c.fault = None
    stage.run(scene.show)
    assert stage.read() == scene.values


@every_chip
@pytest.mark.parametrize("count", range(1, 15))
def test_a_chip_that_vanishes_within_a_read_is_an_error_no_later_than_at_the_next(scene, count):
    stage = Stage(scene)
    stage.i2c.vanish = count
    try:
        stage.read()
    except OSError as error:
        assert scene.module in str(error) and stage.out == stage.before
    stage.i2c.vanish = 0
    before = stage.out[:]
    with pytest.raises(OSError, match=f"{scene.module} at "):
        stage.read()
    assert stage.out == before


@pytest.mark.parametrize(
    ("scene", "register"),
    [(scene, at) for scene in CHIPS.values() for at in getattr(Stage(scene, show=False).model, "identities", ())],
    ids=lambda value: getattr(value, "module", value),
)
def test_a_chip_of_another_kind_is_refused_by_what_it_says_of_itself(scene, register):
    stage = Stage(scene, show=False)
    stage.model.file.memory[register] ^= 0x04
    text = f"{scene.module} at {stage.model.address:#x}: register {register:#x}: got 0x[0-9a-f]+, wanted 0x[0-9a-f]+"
    with pytest.raises(OSError, match=text) as caught:
        stage.make()
    assert caught.value.args[0] == 19


class Noise:
    def __init__(self, data):
        self.data = iter(data)

    def write(self, data):
        pass

    def read(self, count):
        return bytes(next(self.data, 0) for _ in range(count))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.data())
@every_chip
def test_any_bytes_are_values_that_fit_or_an_error_and_then_nothing_is_written(scene, data):
    stage = Stage(scene)
    for noise in data.draw(st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=5)):
        stage.i2c.chips[stage.model.address] = Noise(noise)
        stage.before = stage.out[:]
        try:
            stage.read()
        except OSError as error:
            assert scene.module in str(error) and stage.out == stage.before


@every_chip
@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.binary(min_size=60, max_size=60))
def test_any_bytes_at_the_start_are_an_error_or_a_driver(scene, noise):
    stage = Stage(scene, show=False)
    stage.i2c.chips[stage.model.address] = Noise(noise)
    try:
        stage.make()
    except OSError as error:
        assert scene.module in str(error)


@pytest.mark.parametrize("path", sorted(DRIVERS.glob("*.py")), ids=lambda path: path.stem)
def test_a_driver_is_one_short_file_that_names_its_source_and_is_in_the_table(path):
    tree, text = ast.parse(path.read_text()), path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert (path.stem in SENSORS) != (path.stem in NO_SENSORS), "give it a row in tests/chips/scenes.py"
    if path.stem in ("__init__", "level", "region", "sample_source"):
        return
    assert re.search(r"^Sources?: ", ast.get_docstring(tree), re.M)
    ours = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level}
    assert ours <= {"registers", "level"}
    assert path.stem == "registers" or f"| `{path.name}` |" in (DRIVERS / "README.md").read_text()
    public = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert all(ast.get_docstring(node) for node in public if not node.name.startswith("_"))


def test_no_float_is_on_the_way_to_a_sample():
    for module in SENSORS:
        for node in ast.walk(ast.parse((DRIVERS / f"{module}.py").read_text())):
            assert not isinstance(node, ast.Div), module
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), module
