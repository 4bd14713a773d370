"""What is frozen into a board's firmware: the agent, its drivers, the encoder and the board's facts. It reads only this
tree and gives names with contents; boards/build.py lays them out for MicroPython.
"""

from boards.board import Board
from boards.sources import ROOT
from models.frozen import frozen_module

HOST_ONLY = {"port.py", "plain.py", "host.py", "loader.py", "__main__.py"}  # of device/agent: for CPython alone
STOCK_ONLY = {"improv.py"}  # for boards whose agent is files (boards/stock/)
PACKAGES = ("agent", "drivers")
# Of device/drivers: what the emulated boards have chips for. Boards whose modules are files take what they need.
DRIVERS = {"__init__", "at24c", "cfi_flash", "lsm303dlhc", "region", "registers", "sample_source", "tmp105"}
MODEL = ROOT / "models" / "host"


def frozen_files(board: Board) -> dict[str, bytes]:
    """Path below the firmware's module root, and content, of each module that the firmware holds.

    A board that runs the kernels alone holds the encoder alone.
    """
    artifact, host_json = (MODEL / "encoder.ren").read_bytes(), (MODEL / "host.json").read_text()
    encoder = {"host_model.py": frozen_module(artifact, host_json).encode()}
    if board.runs == "kernels":
        return encoder
    files = encoder | {
        f"{package}/{path.name}": path.read_bytes()
        for package in PACKAGES
        for path in (ROOT / "device" / package).glob("*.py")
        if path.name not in HOST_ONLY | STOCK_ONLY and (package != "drivers" or path.stem in DRIVERS)
    }
    for name, file in (("main", "qemu_main"), ("core", "qemu_core"), ("package_files", "package_files")):
        files[f"{name}.py"] = (ROOT / "boards" / f"{file}.py").read_bytes()
    files["board.py"] = _facts(board).encode()
    return files


def _facts(board: Board) -> str:
    """The frozen module `board`: which memory, its regions and bus, and RAM that the firmware does not use."""
    facts = {
        "STORE": board.store,
        "I2C_BUS": board.i2c_bus,
        "REGIONS": {name: tuple(region) for name, region in (board.regions or {}).items()},
        "RAM_ADDRESS": board.model["address"] if board.model and board.model["is_ram"] else None,
    }
    return "".join(f"{name} = {value!r}\n" for name, value in facts.items())
