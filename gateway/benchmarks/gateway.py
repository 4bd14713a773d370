"""How long a gateway takes from exec to its page, its memory and its pages with many devices; leaves out no part.

The devices are enrolled and each has sent heartbeats before; nothing is sent while it is measured. `ready` counts from
exec until the page has answered /state.json and the broker has taken an account; READY of systemd comes before that is
asked. Memory is PSS (a page that n processes share counts one n-th each), after the page was asked for once.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from coincurve import PrivateKey

from gateway.benchmarks import page
from gateway.benchmarks.ingest import device_of, heartbeat_of
from gateway.broker import broker_url
from gateway.edge import init
from gateway.intake.registry import Progress, Registry
from gateway.site import site_file

DEVICES = 1000
START_S = 60
SETTLE_S = 3.0


def measure(folder: Path | None = None, devices: int = DEVICES) -> dict[str, Any]:
    """{"devices", "first_ready_s", "ready_s", "ready_cpu_s", "pss_bytes", "children_pss_bytes", "state_ms", "page",
    "fleet"}, the last two as page.measure gives them of the first page and of the table of devices.

    The first start deploys the contracts of a new embedded chain, `ready_s` is the next one's. Children are broker and
    oracles. `ready_cpu_s` is what the gateway itself computed until then, on a machine that does something else too.

    Raises:
        AssertionError: the gateway did not start, or does not show every device.
    """
    with TemporaryDirectory(dir=folder) as name:
        site = Path(name) / "site"
        init.make(site, {"site.boards": []})
        registry = Registry(site / "state.sqlite")
        keys = [PrivateKey(number.to_bytes(32, "big")) for number in range(1, devices + 1)]
        registry.enroll(device_of(key) for key in keys)
        frames = {device_of(key).id: heartbeat_of(key, 1)[1] for key in keys}
        registry.advance({device: Progress(2**31, 2**31 + 1, 1, 1, 1, frame) for device, frame in frames.items()})
        registry.save(0, 0)
        registry.close()
        first = _start(site, Path(name) / "first", lambda pid, port: {})
        again = _start(site, Path(name) / "again", partial(_look, devices))
    return {"devices": devices, "first_ready_s": first["ready_s"], **again}


def _start(site: Path, notify: Path, look: Callable[[int, int], dict[str, Any]]) -> dict[str, Any]:
    command = [sys.executable, "-m", "gateway.cli", "gateway", "up", str(site), "--set", "site.window_seconds=30",
               "--set", "site.epoch_seconds=60"]  # fmt: skip
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notify))
        manager.settimeout(START_S)
        started_s = time.perf_counter()
        process = subprocess.Popen(
            command, env=os.environ | {"NOTIFY_SOCKET": str(notify)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            said = manager.recv(4096)
            kept = site_file.read(site)
            if not said.startswith(b"READY=1") or kept is None:
                raise AssertionError(f"the gateway said {said[:80]!r}, wanted READY=1")
            _state(kept.page_port)
            code = broker_url.ask(("127.0.0.1", kept.broker_port), None, _account(site))
            ready_s = time.perf_counter() - started_s
            times = psutil.Process(process.pid).cpu_times()
            if code:
                raise AssertionError(f"the broker answers {code}")
            found = {"ready_s": round(ready_s, 2), "ready_cpu_s": round(times.user + times.system, 2)}
            return {**found, **look(process.pid, kept.page_port)}
        finally:
            process.terminate()
            process.communicate()


def _look(devices: int, pid: int, port: int) -> dict[str, Any]:
    """Memory and pages of the gateway that runs."""
    url = f"http://127.0.0.1:{port}/"
    return {**_memory(devices, pid, port), "page": page.measure(url), "fleet": page.measure(f"{url}fleet")}


def _memory(devices: int, pid: int, port: int) -> dict[str, float]:
    time.sleep(SETTLE_S)  # nothing tells that the oracles have read the chain
    started_s = time.perf_counter()
    shown = len(_state(port)["devices"])
    page_ms = round(1000 * (time.perf_counter() - started_s), 1)
    if shown != devices:
        raise AssertionError(f"the page shows {shown} devices, wanted {devices}")
    process = psutil.Process(pid)
    children_bytes = sum(one.memory_full_info().pss for one in process.children(recursive=True))
    return {"pss_bytes": process.memory_full_info().pss, "children_pss_bytes": children_bytes, "state_ms": page_ms}


def _state(port: int) -> dict[str, list[object]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/state.json", timeout=START_S) as answer:
        found: dict[str, list[object]] = json.load(answer)
    return found


def _account(site: Path) -> tuple[str, str]:
    return "gateway", (site / "broker" / "gateway.password").read_text()


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
