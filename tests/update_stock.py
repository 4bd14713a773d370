"""A stand-in for a board of silicon that is bound and trusts the update key, for tests of its updates: its file system
is a file, so it may be killed; its link is its console, through the site's bridge."""

import threading
from dataclasses import replace

from boards.agent_files import PAGE_BYTES, agent_files
from boards.board import load_board
from boards.emulator import Emulator
from boards.files_image import files_region, make_image
from boards.hardware import load_hardware
from boards.package import MPY_ABI
from boards.standin import CORES, build_standin
from device.agent import wire
from device.agent.banks import AGENT, Bank
from gateway.broker.serial_bridge import SerialBridge
from tests.broker_link import Broker
from tests.update_bench import OWNER, Nor, Power, manifest, trust
from tests.update_boards import CONTRACT, Gateway

SMALL, BOARD = "rpi_pico_w", "rpi_pico2_w"  # which takes models alone, and agents too
HEAP_BYTES = {SMALL: 190 * 1024, BOARD: 384 * 1024}
FLASH, FLASH_BYTES = "flash.bin", 16 * 1024 * 1024  # a memory of the machine, whose beginning is the file system


def ignore(*_):
    pass


def lay(package, folder="tinyren.agent1"):
    """Files of a bank that holds a package, as a fetch leaves them: where a test is not about fetching."""
    memory = Nor(Power(), PAGE_BYTES * (2 + len(package) // PAGE_BYTES))
    bank = Bank(memory)
    bank.begin(manifest(package, 1, AGENT, board=BOARD, abi=MPY_ABI), False)
    bank.write(0, package)
    pages = range(0, memory.size, PAGE_BYTES)
    return {f"{folder}/{at // PAGE_BYTES}": bytes(memory.bytes[at : at + PAGE_BYTES]) for at in pages}


def new_standin(folder, files, name=BOARD):
    """A board's stand-in, not started, with the agent and these files; core and file system are as SMALL's."""
    hardware = replace(load_hardware(name), native=load_hardware(SMALL).native)
    core = load_board(CORES[hardware.native])
    folder.mkdir(parents=True)
    with open(folder / FLASH, "wb") as file:
        file.write(make_image(agent_files(hardware, ignore) | files, files_region(load_hardware(SMALL))))
        file.truncate(FLASH_BYTES)
    memory = f"memory-backend-file,id=flash,size={FLASH_BYTES},mem-path={FLASH},share=on"
    arguments = [*core.emulator["arguments"], "-object", memory, "-machine", "memory-backend=flash"]
    core = replace(core, emulator={**core.emulator, "arguments": arguments})
    return Emulator(core, build_standin(hardware, core, HEAP_BYTES[name], ignore), folder)


class Scene:
    """The stand-in, its broker and its gateway (update_boards.Gateway)."""

    def __init__(self, folder, files=None):
        self.name, self.folder, self.count = BOARD, folder, 0
        self.emulator = new_standin(folder / "board", files or {})

    def __enter__(self):
        self.broker = Broker(self.folder).start()
        self.gateway = Gateway(self.broker.port)
        self.begin()
        self.gateway.wait(lambda: self.gateway.versions and self.gateway.models)
        (self.device,) = self.ids()
        bind = wire.encode_bind(1, CONTRACT, 1, OWNER.address, self.name, 5, 2_000_000_000)
        self.gateway.send(self.device, "bind", bind)
        self.gateway.send(self.device, "trust", trust())
        return self

    def __exit__(self, *_):
        self.end()
        self.gateway.stop()
        self.broker.stop()

    def begin(self):
        """Power it on, and join its console to the broker."""
        self.emulator.start()
        self._bridge = SerialBridge([self.emulator.pty], lambda: ("127.0.0.1", self.broker.port))
        self._thread = threading.Thread(target=self._bridge.run)
        self._thread.start()

    def leave(self):
        """Take the bridge away, so that another may have the console."""
        self._bridge.stop()
        self._thread.join()

    def end(self):
        self.leave()
        self.emulator.stop()

    def console(self):
        return (self.emulator.folder / "logs" / "repl.log").read_text(errors="replace")

    def ids(self):
        return {bytes.fromhex(line.partition("device ")[2][:40]) for line in self.console().splitlines()
                if line.startswith("device ")}  # fmt: skip

    def offer(self, artifact, sequence, kind=AGENT, **changes):
        """Send a manifest, as KEY signs it, for this board."""
        abi = {"abi": MPY_ABI} if kind == AGENT else {}
        frame = manifest(artifact, sequence, kind, **({"board": self.name, **abi} | changes))
        self.gateway.send(self.device, "manifest", frame)
        return frame
