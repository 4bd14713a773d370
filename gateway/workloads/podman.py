"""podman by its socket: starts the program that serves it, and knows its words; decides nothing.

The one file that imports podman-py. Everything podman keeps lies in the folder that is given, apart from that of this
machine's other users of podman. The program may be killed at any time: containers go on without it, and it is started
again. Needs Debian's packages podman and runc.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from podman import PodmanClient
from podman.errors import APIError, PodmanError
from requests import RequestException

from gateway.site.children import Child
from gateway.workloads.errors import Unavailable, WorkloadError

CALL_S = 30.0
LOAD_S = 600.0
SOCKET_BYTES = 107
CONFIGURATION = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
ANSWER_S = 10.0
BOOT = Path("/proc/sys/kernel/random/boot_id")


class NotThere(WorkloadError):
    """podman has no such container or image."""


class WontDo(WorkloadError):
    """podman answered that it cannot do this; the message is its own."""


def missing() -> str:
    """What containers need and this machine has not, with what to do; empty: nothing."""
    names = " and ".join(name for name in ("podman", "runc") if not shutil.which(name))
    return (
        f"{names} not installed: container jobs need `apt-get install podman runc`; [wasm] jobs do not" if names else ""
    )


class Podman:
    """podman with its own storage in a folder. Start it and stop it in one thread (gateway.children)."""

    def __init__(self, folder: Path) -> None:
        """Raises Unavailable: podman is not installed, or the folder's path is too long for a socket."""
        if absent := missing():
            raise Unavailable(absent)
        self.folder = folder
        self._socket = folder / "podman.sock"
        if len(os.fsencode(self._socket)) > SOCKET_BYTES:
            raise Unavailable(
                f"{self._socket}: got a path of over {SOCKET_BYTES} bytes, wanted a site in a shorter one"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.conf").write_text(CONFIGURATION)
        self._child = Child("podman", self._command(), folder / "podman.log")
        self._clients = threading.local()

    def start(self) -> None:
        """Serve the socket; waits until it answers. Unavailable: it does not."""
        self._forget_boot()
        self._socket.unlink(missing_ok=True)
        self._child.start()
        end_s = time.monotonic() + ANSWER_S
        while True:
            try:
                self.call("get", "/version")
                return
            except Unavailable:
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.02)

    def watch(self) -> str | None:
        """Start it again if it ended; what happened, or None."""
        return self._child.watch()

    def stop(self) -> None:
        """End the program that serves the socket; containers go on."""
        self._child.stop()

    def release(self) -> None:
        """Leave no mount behind, where there are no containers: podman has its storage mounted upon itself."""
        for overlay in self.folder.glob("images/overlay"):
            subprocess.run(["umount", "-l", str(overlay)], capture_output=True, check=False)

    def call(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """What podman answers: JSON, or None.

        Raises:
            NotThere, WontDo: as podman says. Unavailable: it does not answer.
        """
        if body is not None:
            options |= {"data": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        lines = self._ask(method, path, **options)
        return json.loads("\n".join(lines)) if lines else None

    def _ask(self, method: str, path: str, **options: Any) -> list[str]:
        """The lines of an answer. Raises as `call`."""
        try:
            answer = getattr(self._client().api, method)(path, **options)
            _check(answer)
            return str(answer.text).splitlines()
        except (APIError, PodmanError, RequestException, OSError) as error:
            raise Unavailable(f"podman does not answer ({error}); it is started again, look at podman.log") from error

    def run_inside(self, container: str, command: tuple[str, ...], timeout_s: float) -> str:
        """Run a command in a container by its id; empty if it ended with 0, else why not.

        By runc, not by podman's exec: that leaves a monitor of its own for five minutes after each (podman 4.3.1).
        """
        nothing = subprocess.DEVNULL
        with tempfile.NamedTemporaryFile(dir=self.folder) as pid:
            within = ["runc", "exec", "--pid-file", pid.name, container, *command]
            with subprocess.Popen(within, stdin=nothing, stdout=nothing, stderr=nothing) as done:
                try:
                    code = done.wait(timeout_s)
                except subprocess.TimeoutExpired:
                    with suppress(OSError, ValueError):
                        os.kill(int(Path(pid.name).read_text()), signal.SIGKILL)
                    done.kill()
                    return f"no answer within {timeout_s:g} s"
        return f"exit code {code}" if code else ""

    def load(self, archive: Path) -> None:
        """Take an image's archive, as far as images.check_archive allowed it. Raises as `call`."""
        with archive.open("rb") as file:
            self.call("post", "/images/load", data=file, timeout=LOAD_S)

    def import_root(self, archive: Iterator[bytes]) -> str:
        """The id of an image that is made of the files of a tar. Raises as `call`."""
        return str(self.call("post", "/images/import", data=archive, timeout=LOAD_S)["Id"])

    def image(self, name: str) -> str:
        """The id (sha256:...) of an image that is here. Raises as `call`."""
        found = str(self.call("get", f"/images/{name}/json")["Id"])
        return found if found.startswith("sha256:") else f"sha256:{found}"

    def pull(self, name: str) -> str:
        """Fetch an image by name; its id. WontDo: nobody has it. Raises as `call` besides."""
        options = {"reference": name, "quiet": "true", "policy": "missing"}
        lines = self._ask("post", "/images/pull", params=options, timeout=LOAD_S)
        answer = json.loads(lines[-1]) if lines else {}  # a line for each step, the last with an id or an error
        if "id" not in answer:
            raise WontDo(str(answer.get("error", "podman pulled nothing")))
        return self.image(str(answer["id"]))

    def _forget_boot(self) -> None:
        """Remove what is only true until the machine restarts: podman looks there for whether its containers run."""
        boot, kept = BOOT.read_text(), self.folder / "boot"
        if not kept.exists() or kept.read_text() != boot:
            for name in ("run", "tmp"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            kept.write_text(boot)

    def _client(self) -> PodmanClient:
        if not hasattr(self._clients, "one"):  # a client is not for two threads
            self._clients.one = PodmanClient(base_url=f"http+unix://{self._socket}", timeout=CALL_S)
        return cast(PodmanClient, self._clients.one)

    def _command(self) -> list[str]:
        folder = str(self.folder)
        places = ["--root", f"{folder}/images", "--runroot", f"{folder}/run", "--tmpdir", f"{folder}/tmp"]
        serve = ["system", "service", "--time", "0", f"unix://{self._socket}"]
        within = ["env", f"--chdir={folder}", f"CONTAINERS_CONF={folder}/containers.conf"]  # monitors write there
        return [*within, "podman", *places, *serve]


def _check(answer: Any) -> None:
    if answer.status_code == 404 or (answer.status_code == 500 and "no such container" in answer.text):
        raise NotThere(_words(answer.text))
    if answer.status_code >= 400:
        raise WontDo(_words(answer.text))


def _words(text: str) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(text)["message"])[:500]
    return text[:500]
