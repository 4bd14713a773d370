"""The site that tests/screenshots.py shows: three emulated boards, two settled epochs, a name, a job, an EDIL round.

The firmware files that its page for flashing offers are stand-ins of the right form (tests/web/test_flash_page.py).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.web.test_flash_page import fill

ROOT = Path(__file__).parent.parent
EPOCHS, EPOCH_SECONDS = 2, 30
SHOWN_S, ROUND_S = 45, 180
JOB = f"""name = "told-encoder"
[model]
file = "{ROOT}/models/host/encoder.ren"
sample_ms = 50
offsets = [12800, 1024, 1024, 1024]
shifts = [6, 3, 3, 3]
[report]
every = 1
[rollout]
steps = [1, "100%"]
"""


def state(url: str) -> dict:
    with urllib.request.urlopen(f"{url}state.json", timeout=10) as answer:
        return json.load(answer)


@contextmanager
def running_site() -> Iterator[str]:
    """The site, once it has all of it; its address. SystemExit: it ended before that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = ["up", "--site", "site", "--epoch-seconds", str(EPOCH_SECONDS)]
        with _child(folder, *options, stderr=subprocess.PIPE) as process:
            url = ""
            for line in process.stderr:
                print(line, end="", file=sys.stderr)
                url = url or (line.split()[-1] if " page http" in line else "")
                if url and f"epoch {EPOCHS} is settled" in line:
                    break
            else:
                sys.exit("the site ended before its epochs were settled")
            _bring_to_life(url, folder)
            _hold_round(url, folder)
            firmware = folder / "site" / "firmware"
            firmware.mkdir(exist_ok=True)
            fill(firmware)
            yield url


def _bring_to_life(url: str, folder: Path) -> None:
    """A name and a job, whose outputs fill a plot within SHOWN_S."""
    body = json.dumps({"devices": [state(url)["devices"][0]["id"]], "name": "pump hall, left"}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}fleet/names", body, {"Content-Type": "application/json"}))
    (folder / "job.toml").write_text(JOB)
    _run(folder, "job", "apply", "job.toml", "--site", "site", "--wait")
    time.sleep(SHOWN_S)


def _hold_round(url: str, folder: Path) -> None:
    """A round of EDIL over the three boards, closed and answered by a share-holder of its own."""
    site = tomllib.loads((folder / "site" / "site.toml").read_text())
    contract, page = site["contracts"]["devices"], ["--gateway", url.rstrip("/")]
    own, holder = (_run(folder, "edil", "keygen", "-o", name).split()[-1] for name in ("data-owner.key", "holder.key"))
    names = ["--holder", own, "--holder", holder, "--chain-id", str(state(url)["chain"]["id"]), "--contract", contract]
    for key in sorted((folder / "site" / "keys").glob("owner-*.key")):
        _run(folder, "edil", "enrol", "--owner-key", str(key), *names, *page)
    what = ["--kind", "moments", "--model", str(ROOT / "models/host/host.json"), "--windows", "2", "--k-min", "2"]
    until = ["--duration-s", "30", "--deadline-s", "60"]
    _run(folder, "edil", "announce", "--key", "data-owner.key", "--holder", holder, *what, *until, *page)
    counted = ["--rpc", f"{url}rpc", "--contract", contract, "--least", "2"]
    with _child(folder, "shareholder", "--key", "holder.key", *counted, *page):
        end_s = time.monotonic() + ROUND_S
        while not state(url)["edil"][-1]["shares"]:
            if time.monotonic() > end_s:
                sys.exit(f"no share was given within {ROUND_S} s: {state(url)['edil'][-1]}")
            time.sleep(1)


def _run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "gateway.cli", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **_place(folder)).stdout


@contextmanager
def _child(folder: Path, *words: str, **options: object) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-m", "gateway.cli", *words], text=True, **_place(folder), **options)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _place(folder: Path) -> dict:
    return {"cwd": folder, "env": {"TINYREN_CACHE": str(ROOT / ".cache"), **os.environ, "PYTHONPATH": str(ROOT)}}
