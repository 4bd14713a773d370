"""What a browser or a UF2 file brings a new board, on its stand-in: it boots the agent from the image, knows Improv.

The stand-in's memory holds the image as a Pico W's flash does; no file is copied to it.
"""

import json
import re
import time
from dataclasses import replace

import pytest

from boards.agent_files import agent_files
from boards.board import load_board
from boards.console import ConsoleError, open_console
from boards.emulator import Emulator
from boards.files_image import files_region, make_image
from boards.hardware import load_hardware
from boards.improv_port import ask, join
from boards.standin import CORES, build_standin
from tests.standin_stack import SPARE_BYTES, stack_left
from tests.up_site import WAIT_S

HEAP_BYTES = 190 * 1024
SETTINGS = {"gateways": "192.168.1.5:1883"}
IMAGE = "files.img"


@pytest.fixture
def pico(tmp_path):
    """A Pico W's stand-in whose flash was written with firmware and files at once."""
    hardware = load_hardware("rpi_pico_w")
    core = load_board(CORES[hardware.native])
    files = agent_files(hardware, lambda *_: None) | {"settings.json": json.dumps(SETTINGS).encode()}
    image = make_image(files, files_region(hardware))
    (tmp_path / IMAGE).write_bytes(image.ljust(files_region(hardware).bytes, b"\xff"))
    laid = ["-device", f"loader,file={IMAGE},addr={core.natmod['free_address']:#x},force-raw=on"]
    machine = replace(core, emulator={**core.emulator, "arguments": [*core.emulator["arguments"], *laid]})
    with Emulator(machine, build_standin(hardware, core, HEAP_BYTES, lambda *_: None), tmp_path) as emulator:
        yield emulator


def test_a_new_board_boots_the_agent_from_its_image_and_answers_improv(pico):
    end_s = time.monotonic() + WAIT_S
    log = pico.folder / "logs" / "repl.log"
    while not re.search(rb"device [0-9a-f]{40}", log.read_bytes()) and time.monotonic() < end_s:
        time.sleep(0.1)
    about = ask(pico.pty)
    assert about is not None and about.firmware == "tinyren" and about.name == "rpi_pico_w"
    with pytest.raises(ConsoleError, match="could not join 'Werk 7', its settings are as before"):
        join(pico.pty, "Werk 7", "long-enough")  # the stand-in has no radio
    assert stack_left(pico, "rpi_pico_w") >= SPARE_BYTES
    with open_console(pico.pty) as repl:
        assert json.loads(repl.exec("print(open('settings.json').read())")) == SETTINGS
        assert "tinyren.key" in repl.exec("import os\nprint(os.listdir())")
