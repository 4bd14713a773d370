"""This machine's system under an overlay that is forgotten: what is installed there is installed truly, and nowhere."""

import contextlib
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
WAIT_S = 60


def missing():
    """Why no package can be tried here; "" if it can."""
    if not ARCH:
        return f"no package for {platform.machine()}"
    for name in ("dpkg-deb", "py3compile", "deb-systemd-helper", "systemd-sysusers", "mosquitto", "unshare"):
        if not shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin"):
            return f"{name} is missing: the package wants a Debian 12 with python3, systemd and mosquitto"
    if os.geteuid() != 0:
        return "only root can install a package"
    said = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True, check=False).stdout
    return "" if said.startswith("Python 3.11.") else f"got {said.strip() or 'no /usr/bin/python3'}, wanted Python 3.11"


class Root:
    """An overlay over / in a mount namespace of its own; `path` is where `enter` sees it."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "root"
        self._keeper = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sleep", "infinity"])
        here = os.stat("/proc/self/ns/mnt").st_ino
        end = time.monotonic() + WAIT_S
        while os.stat(f"/proc/{self._keeper.pid}/ns/mnt").st_ino == here:
            assert time.monotonic() < end, "unshare made no namespace"
        mounts = f"""
            mount -t tmpfs -o size=3g tmpfs {folder} && cd {folder} && mkdir up work root
            mount -t overlay overlay -o lowerdir=/,upperdir={folder}/up,workdir={folder}/work root
            mount -t proc proc root/proc && mount --rbind /dev root/dev
            mount -t tmpfs tmpfs root/run && mount -t tmpfs -o mode=1777 tmpfs root/tmp"""
        self.enter("sh", "-ec", mounts)

    def enter(self, *command, **options):
        """A command in the namespace, not yet in the overlay."""
        options = {"capture_output": True, "text": True, "check": True, "timeout": WAIT_S} | options
        return subprocess.run(["nsenter", "-t", str(self._keeper.pid), "-m", *map(str, command)], **options)

    def words(self, *command, user=""):
        """What runs a command in the overlay, as root or as another user."""
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        clean = ["env", "-i", "-C", "/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]
        enter = ["nsenter", "-t", str(self._keeper.pid), "-m", "chroot", str(self.path)]
        return [*enter, *clean, *who, *map(str, command)]

    def run(self, *command, user="", is_good=True):
        """One command to its end: its output, once its code is as wanted."""
        ended = subprocess.run(self.words(*command, user=user), capture_output=True, text=True, timeout=WAIT_S)
        assert (ended.returncode == 0) == is_good, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def put(self, path, package):
        """Have a file of this machine's in the overlay."""
        self.enter("cp", package, self.path / path.lstrip("/"))

    def exists(self, path):
        return subprocess.run(self.words("test", "-e", path), timeout=WAIT_S, check=False).returncode == 0

    def end(self):
        self._keeper.kill()
        self._keeper.wait()
        with contextlib.suppress(OSError):
            Path(self.folder).rmdir()
