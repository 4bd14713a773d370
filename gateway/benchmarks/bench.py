"""`tinyren bench`: measures what the project has set itself targets for, and holds it beside them; it asserts nothing.

Bytes and gas come out the same each time, instructions within 3 in 1,000 (each board makes its own key): more is a
change of the code, the compiler or QEMU. Rates are this machine's at this moment; only the share, measured in turns
with what it is a share of, can be compared. What is written names no host, no user and no path.
"""

import os
import platform
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from coincurve import PrivateKey

from boards.board import BoardError, board_names, load_board
from boards.build import Firmware
from boards.emulator import EmulatorError
from boards.sources import cache_folder
from contracts import gas
from device.agent import wire
from gateway import curve
from gateway.benchmarks import boards as bench_boards
from gateway.benchmarks import cstore as bench_cstore
from gateway.benchmarks import deeploy as bench_deeploy
from gateway.benchmarks import edil as bench_edil
from gateway.benchmarks import edil_device as bench_edil_device
from gateway.benchmarks import first_run as bench_first_run
from gateway.benchmarks import gateway as bench_gateway
from gateway.benchmarks import ingest as bench_ingest
from gateway.benchmarks import models as bench_models
from gateway.benchmarks import natmod as bench_natmod
from gateway.benchmarks import oracles as bench_oracles
from gateway.benchmarks import r1fs as bench_r1fs
from gateway.benchmarks import sbc as bench_sbc
from gateway.benchmarks import scoring as bench_scoring
from gateway.benchmarks import workers as bench_workers
from gateway.benchmarks.sizes import WHOLE, Sizes
from gateway.chain.chain import ChainError, address_of, open_embedded
from gateway.errors import CommandError, Exit
from gateway.progress import Progress

T = TypeVar("T")

TRANSACTIONS = 64
KEY = PrivateKey(bytes(31) + b"\x01")
MODEL = bytes.fromhex("01551220") + bytes(32)
QEMU = "qemu-system-arm"


def bench(
    progress: Progress, firmwares: list[Firmware], models: Path | None = None, sizes: Sizes = WHOLE
) -> dict[str, Any]:
    """Measure everything, the agent on these boards, models on all; what `--out` gets.

    Args:
        models: a folder of models to measure beside the shipped ones (bench_models.measure).
        sizes: how much of what grows with a number.
    Raises:
        CommandError: a board or the chain failed, or mpremote or a package of models/ is not installed.
    """
    boards = [load_board(firmware.board) for firmware in firmwares]
    result: dict[str, Any] = {"machine": machine(), "heartbeat_bytes": heartbeat_bytes(), "boards": {}}
    for board, firmware in zip(boards, firmwares, strict=True):
        progress.say(f"instructions and heap of {board.name}")
        measured = _told(bench_boards.measure, board, firmware)
        result["boards"][board.name] = {**measured, "edil": _told(bench_edil_device.measure, board, firmware)}
    progress.say("native modules on stock MicroPython")
    hosts = [board for board in map(load_board, board_names()) if board.natmod]
    result["natmod"] = {board.name: _told(bench_natmod.measure, board, progress.step) for board in hosts}
    result |= _told(bench_models.measure, models, progress)
    result["mpy_bytes"] = _told(bench_boards.mpy_bytes, boards[0], progress.step)
    with TemporaryDirectory(dir=cache_folder()) as folder:  # on a disk, where the system's temporary folder may be RAM
        progress.say("heartbeats through the gateway, in turns with bare verification")
        result["gateway"] = bench_ingest.measure(folder=Path(folder))
        progress.say("heartbeats off a broker, by the gateway alone and with workers")
        result["gateway"] |= bench_workers.measure(Path(folder), devices=sizes.heartbeats)
        progress.say("writes of CSTORE, in turns with the bare disk")
        result["cstore"] = bench_cstore.measure(Path(folder), sizes.turns)
        progress.say("R1FS, in turns with plain SHA-256")
        result["r1fs"] = bench_r1fs.measure(Path(folder), sizes.file_bytes)
        progress.say("a new encoder to the emulated boards and to agents on this computer")
        result["deeploy"] = bench_deeploy.measure(firmwares, progress, sizes.agents)
        progress.say(f"a gateway with {sizes.devices:,} devices: start, memory, pages; memory of an agent here")
        result["edge"] = bench_gateway.measure(Path(folder), sizes.devices)
        result["sbc"] = bench_sbc.measure(Path(folder), progress)
        progress.say("from a bare emulated board to a paid claim, and a batch of boards")
        some = firmwares[: sizes.first_runs]
        result["first_run"] = _told(bench_first_run.measure, some, Path(folder), sizes.batch)
        progress.say("EDIL at the gateway, beside numpy, TenSEAL CKKS and SecAgg+")
        result["edil"] = _told(bench_edil.measure, Path(folder))
        progress.say("messages of oracles that agree on an epoch")
        result["oracles"] = bench_oracles.measure()
        progress.say(f"scoring of epochs of up to {max(sizes.scored):,} devices")
        result["scoring"] = bench_scoring.measure(sizes.scored)
        progress.say("gas of the contracts' calls")
        result["gas"] = _told(gas.measure, Path(folder))
        progress.say("transactions of the embedded chain")
        result["chain"] = {"transactions_per_s": _told(transactions_per_s, Path(folder))}
    result["targets"] = targets(result)
    return result


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    printed = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", printed)
    return {
        "cpu": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "qemu": found[0] if found else "",
    }


def heartbeat_bytes() -> dict[str, int]:
    """Of a device an hour after its third boot, windows of 5 s; and with every number as long as it gets."""
    device, top = curve.address_of(KEY.secret), 2**32 - 1

    def length(epoch: int, window: int, boot: int, sequence: int, count: int) -> int:
        beacon = wire.make_beacon(epoch, window, bytes(32))
        return len(wire.sign_heartbeat(device, _sign, beacon, boot, sequence, MODEL, count, bytes(16), 23))

    return {"typical": length(60, 11, 3, 720, 2250), "worst": length(top, 2**16 - 1, top, top, top)}


def transactions_per_s(folder: Path) -> float:
    """Deeds minted a second on a new chain, one after another: estimate, sign, run, block, on the disk."""
    payer = address_of(KEY)
    chain = open_embedded(folder / "rate.sqlite", (payer,))
    try:
        deeds, _ = chain.deploy("NodeDeed", payer, key=KEY)
        started = time.perf_counter()
        for deed in range(1, TRANSACTIONS + 1):
            chain.send(deeds, "mint", deed, payer, 1, key=KEY)
        return round(TRANSACTIONS / (time.perf_counter() - started), 1)
    finally:
        chain.close()


def targets(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{figure: {"got", "wanted", "holds"}}; of several boards the worst."""
    boards = result["boards"].values()
    signs = [board["instructions"]["sign"] for board in boards if board["core"] == "Cortex-M3"]
    encrypts = [board["edil"]["instructions"]["1024"] for board in boards if board["core"] == "Cortex-M3"]
    runs, page = result["first_run"]["boards"].values(), result["edge"]["page"]
    most: dict[str, tuple[float, float]] = {
        "heartbeat_bytes": (result["heartbeat_bytes"]["worst"], wire.HEARTBEAT_MAX_BYTES),
        "mpy_bytes": (result["mpy_bytes"]["all"], 96 * 1024),
        "heap_bytes": (max(board["heap_bytes"]["agent"] for board in boards), 24 * 1024),
        "sign_instructions": (max(signs, default=0), 1_200_000),
        "kernel_bytes": (max(result["kernel_bytes"].values()), 24 * 1024),
        "edil_instructions": (max(encrypts, default=0), 800_000),
        "edil_ram_bytes": (max(board["edil"]["ram_bytes"]["1024"] for board in boards), 10_752),
        "deeploy_s": (result["deeploy"]["agents"]["seconds"], 60),
        "ready_s": (result["edge"]["ready_s"], 3),
        "gateway_pss": (result["edge"]["pss_bytes"], 150_000_000),
        "sbc_pss": (result["sbc"]["pss_bytes"], 30_000_000),
        "flash_s": (max(board["flash"] for board in runs), 30),
        "first_heartbeat_s": (max(board["first_heartbeat"] for board in runs), 90),
        "first_run_s": (max(board["total"] for board in runs), 60),
        "post_gas": (result["gas"]["post a root, 3 of 5"], 70_000),
        "claim_gas": (result["gas"]["claim of an account for 10,000 deeds, 1,000,000 leaves"], 75_000),
    }
    if million := result["scoring"].get("1000000"):  # which a quick run leaves out
        most |= {"million_s": (million["total_s"], 60), "million_bytes": (million["peak_bytes"], 2_000_000_000)}
    if page["loaded_ms"] is not None:
        most |= {"page_ms": (page["loaded_ms"], 300), "page_bytes": (page["sent_bytes"], 100_000)}
    for name, (ratios, limit) in bench_models.to_tflm(result["models"]).items():
        if ratios:
            most[name] = (max(ratios), limit)
    rows = {name: {"got": got, "wanted": f"<= {limit:,}", "holds": got <= limit} for name, (got, limit) in most.items()}
    least = {
        "gateway_share": (result["gateway"]["share"], 0.4, ">= 40 %"),
        "r1fs_share": (result["r1fs"]["share"], 0.6, ">= 60 %"),
        "cstore_writes": (result["cstore"]["writers_32"]["writes_per_s"], 2_000, ">= 2,000"),
        "edil_updates_per_core_s": (result["edil"]["updates_per_core_s"], 5_000, ">= 5,000"),
        "edil_ciphertexts_per_s": (result["edil"]["ciphertexts_per_s"], 100_000, ">= 100,000"),
    }
    rows |= {name: {"got": got, "wanted": text, "holds": got >= limit} for name, (got, limit, text) in least.items()}
    head_ms = result["edil"]["head_ms"]
    return {**rows, "edil_head_ms": {"got": head_ms, "wanted": "<= 0.6", "holds": head_ms <= 0.6}}


def _sign(digest: bytes) -> bytes:
    return bytes(KEY.sign_recoverable(digest, hasher=None))


def _told(call: Callable[..., T], *arguments: Any) -> T:
    """The value of a call; what it raises for a known reason becomes a CommandError."""
    try:
        return call(*arguments)
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; `make bench` installs it", Exit.USAGE) from error
    except (BoardError, EmulatorError) as error:
        raise CommandError(str(error)) from error
    except ChainError as error:
        raise CommandError(str(error), Exit.CHAIN) from error
