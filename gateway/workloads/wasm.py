"""One run of a WebAssembly job, as a process of its own; refuses what goes over its limits, and has no network.

    python -m gateway.workloads.wasm FOLDER

The one file that imports wasmtime. FOLDER/run.json says what runs (wasm_runs writes it), FOLDER/result.json what came
of it, written whole. FOLDER/lock is held while it runs, so whoever holds it is the run: a second process on one folder
does nothing. It ends by itself, by fuel, by time, or by SIGTERM. WASI preview 1 gives it clocks, randomness, its
arguments, its volumes and its output; there are no sockets in it.
"""

import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import wasmtime

from gateway.workloads.logs import Rotated
from gateway.workloads.runs import write_json

MAX_TABLE_ELEMENTS, MAX_STACK_BYTES = 1 << 20, 1 << 20
TRAP_S = 2.0
_PIECE_BYTES = 64 * 1024


@dataclass
class Outcome:
    """What a run comes to; filled in by the thread that runs it."""

    exit_code: int | None = None
    reason: str = ""
    fuel: int = 0
    memory_bytes: int = 0


def main(folder: Path) -> None:
    """Run what a folder says, unless it runs already or did."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if (folder / "started.json").exists():
        return
    asked = json.loads((folder / "run.json").read_text())
    started_ms = int(time.time() * 1000)
    write_json(folder / "started.json", {"pid": os.getpid(), "started_ms": started_ms})
    output = _capture(Rotated(folder, asked["log_bytes"]))
    began_s = _cpu_s()
    outcome = _run_within(asked)
    cpu_s = _cpu_s() - began_s
    sys.stdout.flush()
    os.close(1)
    os.close(2)
    output.join(TRAP_S)
    write_json(
        folder / "result.json",
        {
            "exit_code": outcome.exit_code,
            "reason": outcome.reason,
            "started_ms": started_ms,
            "ended_ms": int(time.time() * 1000),
            "cpu_s": cpu_s,
            "fuel": outcome.fuel,
            "memory_bytes": outcome.memory_bytes,
        },
    )
    os._exit(0)  # a call into the host that does not return must not keep the process


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _capture(log: Rotated) -> threading.Thread:
    """Have this process's output go into a log, until it is closed."""
    read, write = os.pipe()
    os.dup2(write, 1)
    os.dup2(write, 2)
    os.close(write)

    def copy() -> None:
        while data := os.read(read, _PIECE_BYTES):
            try:
                log.write(data)
            except OSError:  # no space: the run goes on, its words are lost
                continue

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def _run_within(asked: dict[str, Any]) -> Outcome:
    """Run it until it ends, its time is over or SIGTERM comes."""
    config = wasmtime.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.max_wasm_stack = MAX_STACK_BYTES
    engine, outcome, ended = wasmtime.Engine(config), Outcome(), threading.Event()
    stopped: list[str] = []
    done = threading.Event()

    def end(reason: str) -> None:
        stopped.append(reason)
        ended.set()

    signal.signal(signal.SIGTERM, lambda number, frame: end("stopped by the gateway"))

    def run() -> None:
        _run(engine, asked, outcome)
        done.set()
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    if not ended.wait(asked["time_s"]):
        end(f"time limit: ran for {asked['time_s']} s")
    if not done.is_set():
        engine.increment_epoch()
        done.wait(TRAP_S)  # it may be in a call into the host
    if stopped and not (done.is_set() and outcome.exit_code is not None):
        outcome.exit_code, outcome.reason = None, stopped[0]
    return outcome


def _run(engine: wasmtime.Engine, asked: dict[str, Any], outcome: Outcome) -> None:
    store = wasmtime.Store(engine)
    store.set_fuel(asked["fuel"])
    store.set_epoch_deadline(1)
    store.set_limits(
        memory_size=asked["memory_bytes"], table_elements=MAX_TABLE_ELEMENTS, instances=1, tables=8, memories=1
    )
    memory: wasmtime.Memory | None = None
    try:
        store.set_wasi(_wasi(asked))
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        instance = linker.instantiate(store, wasmtime.Module.from_file(engine, asked["module"]))
        exports = instance.exports(store)
        memory = cast(wasmtime.Memory | None, exports.get("memory"))
        cast(wasmtime.Func, exports["_start"])(store)
        outcome.exit_code, outcome.reason = 0, "ended well"
    except wasmtime.ExitTrap as error:
        outcome.exit_code = error.code
        outcome.reason = f"exit code {error.code}" if error.code else "ended well"
    except (KeyError, TypeError, AttributeError) as error:
        outcome.reason = f"module: got no export {error}, wanted a WASI program with _start"
    except (wasmtime.WasmtimeError, wasmtime.Trap, OSError) as error:
        outcome.reason = _words(error)
    finally:
        outcome.fuel = asked["fuel"] - store.get_fuel()
        outcome.memory_bytes = memory.data_len(store) if memory else 0


def _wasi(asked: dict[str, Any]) -> wasmtime.WasiConfig:
    wasi = wasmtime.WasiConfig()
    wasi.argv = asked["command"]
    wasi.env = list(asked["environment"].items())
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for path, at, writable in asked["volumes"]:
        wasi.preopen_dir(path, at, writable)
    return wasi


def _words(error: Exception) -> str:
    if isinstance(error, wasmtime.Trap) and error.trap_code == wasmtime.TrapCode.OUT_OF_FUEL:
        return "out of fuel"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " / ".join(line for line in lines if "wasm backtrace" not in line and "<unknown>" not in line)
    return f"WebAssembly: {text[:400]}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
