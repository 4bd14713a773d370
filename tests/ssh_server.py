"""A computer that is reached by ssh: a real sshd on loopback with a home of its own, and the user's ssh beside it.

What a test can do to it: end it, give it another key, take python3 off its PATH, cut the next connection.
"""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from gateway.system import SBIN

WAIT_S = 20
RUN = Path("/run/sshd")  # where root's sshd shuts itself in


def missing():
    """Why there is no sshd here, "" if there is."""
    if not shutil.which("sshd", path=SBIN) or not shutil.which("ssh"):
        return "no sshd here: apt-get install openssh-server"
    return ""


class Computer:
    """
    Attributes:
        place: USER@HOST:PORT. home: the user's there. bin: holds the ssh of who flashes, first on his PATH.
    """

    def __init__(self, folder, path="/usr/bin:/bin"):
        self.folder, self.home, self.bin = folder, folder / "home", folder / "bin"
        for made in (self.home, self.bin):
            made.mkdir(parents=True)
        for name in ("host", "user"):
            keygen(folder / name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.place = f"{getpass.getuser()}@127.0.0.1:{self.port}"
        shutil.copy(folder / "user.pub", folder / "authorized")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            "UsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\n"
            f"SetEnv HOME={self.home} PATH={path}\n"
        )
        (folder / "ssh_config").write_text(
            f"IdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n"
            "GlobalKnownHostsFile none\n"
        )
        (self.bin / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
        (self.bin / "ssh").chmod(0o755)
        self.server = None
        self.start()
        self.know()

    def start(self):
        if os.geteuid() == 0:
            RUN.mkdir(exist_ok=True)
        command = [shutil.which("sshd", path=SBIN), "-D", "-e", "-f", self.folder / "sshd_config"]
        self.server = subprocess.Popen(command, stderr=open(self.folder / "sshd.log", "ab"))
        for _ in range(10_000):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert self.server.poll() is None, (self.folder / "sshd.log").read_text()
        raise AssertionError("sshd did not listen")

    def know(self, name="host"):
        """The user has logged in before: the key is known."""
        key = (self.folder / f"{name}.pub").read_text()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {key}")

    def environment(self):
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def end(self):
        """End sshd, and the agent that was begun there."""
        self.server.terminate()
        self.server.wait(WAIT_S)
        with contextlib.suppress(OSError, ValueError):
            os.kill(self.agent(), 9)

    def agent(self):
        """The agent's process."""
        return int((self.home / "tinyren" / "agent.pid").read_text())


def keygen(path):
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def cut_after(port, octets, until):
    """A port that passes so many octets of each connection on to `port`, and drops it as soon as until() is true."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                threading.Thread(target=pump, args=(far, near, 1 << 60, lambda: True), daemon=True).start()
                threading.Thread(target=pump, args=(near, far, octets, until), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def pump(source, sink, octets, until):
    with contextlib.suppress(OSError):
        while octets > 0 and (block := source.recv(min(octets, 4096))):
            sink.sendall(block)
            octets -= len(block)
    deadline_s = time.monotonic() + WAIT_S
    while octets == 0 and not until() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
