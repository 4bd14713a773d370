"""Runs on a computer that is to be a device: installs, begins and ends the agent. `tinyren flash` sends it by ssh.

    ask DIGEST                   what this computer is and has
    receive DIGEST BYTES OFFSET  takes the agent from stdin, from that octet on
    begin DIGEST SETTINGS        installs it with these settings (JSON), and waits until it runs
    erase                        ends and removes everything
    run                          becomes the agent, as ~/tinyren/agent.json says; what the service calls

Each prints one JSON object, or ends with one line on stderr. Below ~/tinyren: agent-DIGEST is an agent as it was sent,
`current` names the one that runs, store* is the device's identity and what it keeps, agent.json and ca.pem its
settings. A new agent is there wholly or not at all; one that does not begin gives way to the one before. The user's
systemd runs it where there is one, else it is a process that nobody starts again. It needs Python 3.6 to answer, and
nothing that is not Python's.
"""

import fcntl
import hashlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from pathlib import Path

LEAST_PYTHON = (3, 10)
ROLLED_BACK = 9  # as `tinyren` ends
HOME = Path.home() / "tinyren"
CURRENT, SETTINGS, LOG, PID = HOME / "current", HOME / "agent.json", HOME / "agent.log", HOME / "agent.pid"
CA = HOME / "ca.pem"
UNIT = Path.home() / ".config" / "systemd" / "user" / "tinyren-agent.service"
BEGINS_S = 30.0
ENDS_S = 10.0
STALLS_S = 10.0  # without an octet, after which a sender is gone
BLOCK = 65536
SERVICE = """[Unit]
Description=tinyren agent
StartLimitIntervalSec=0

[Service]
ExecStart={python} {program} run
Restart=always
RestartSec=5
StandardOutput=append:{log}
StandardError=inherit

[Install]
WantedBy=default.target
"""


def main(arguments):
    verb, given = arguments[0], arguments[1:]
    if verb == "run":
        return run()
    try:
        if verb == "ask":
            print(json.dumps(ask(*given)))
            return 0
        HOME.mkdir(mode=0o700, exist_ok=True)
        with open(str(HOME / "lock"), "w") as lock:
            take(lock)
            print(json.dumps({"receive": receive, "begin": begin, "erase": erase}[verb](*given)))
    except BlockingIOError:
        return fail("another `tinyren flash` works on this computer; wait until it has ended")
    except RolledBack as error:
        return fail(str(error), ROLLED_BACK)
    except (OSError, ValueError) as error:
        return fail(str(error))
    return 0


def take(lock):
    """Wait for the lock for as long as a receiver whose sender is gone keeps it; raises BlockingIOError."""
    deadline_s = time.monotonic() + STALLS_S + 2
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.1)


class RolledBack(Exception):
    """The agent did not begin, and the one before runs again."""


def fail(text, code=1):
    print(text, file=sys.stderr)
    return code


def ask(digest):
    part = part_of(digest)
    settings = read_settings()
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "is_old": sys.version_info < LEAST_PYTHON,
        "abi": (sysconfig.get_config_var("SOABI") or "").partition("-")[2].partition("-")[2],
        "free_bytes": shutil.disk_usage(str(Path.home())).free,
        "has": folder_of(digest).is_dir(),
        "part_bytes": part.stat().st_size if part.exists() else 0,
        "runs": os.readlink(str(CURRENT)) if CURRENT.is_symlink() else "",
        "settings": settings,
    }


def receive(digest, size, offset):
    """Take what is missing of the agent from stdin; what came is kept, so that the next call goes on there."""
    part = part_of(digest)
    for old in HOME.glob("*.part"):
        if old != part:
            old.unlink()
    with open(str(part), "ab") as file:
        file.truncate(int(offset))
        while select.select([sys.stdin], [], [], STALLS_S)[0]:
            block = os.read(sys.stdin.fileno(), BLOCK)
            if not block:
                break
            file.write(block)
            file.flush()
        os.fsync(file.fileno())
    content = part.read_bytes()
    if len(content) < int(size):
        raise ValueError(f"got {len(content)} of {size} bytes; run the same command again, it goes on there")
    part.unlink()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("what came is damaged, and was removed; run the same command again")
    unpack(content, folder_of(digest))
    return {"bytes": len(content)}


def unpack(content, folder):
    new = folder.with_suffix(".new")
    shutil.rmtree(str(new), ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(str(new))
    os.sync()
    new.rename(folder)


def begin(digest, text):
    """Have this agent run, with the settings that are given and else with those that are there."""
    given = json.loads(text)
    kept, ca = read_settings(), given.pop("ca", "")
    kept_ca = CA.read_text() if CA.exists() else ""
    if ca:
        write(CA, ca)
        given["ca"] = str(CA)
    settings = dict(kept, **given)
    before = os.readlink(str(CURRENT)) if CURRENT.is_symlink() else ""
    write(SETTINGS, json.dumps(settings))
    hello = switch(folder_of(digest).name)
    if "id" not in hello:
        end()
        if before and kept:
            write(SETTINGS, json.dumps(kept))
            if kept_ca:
                write(CA, kept_ca)
            switch(before)
            raise RolledBack("the agent did not begin: {}; the one before runs again".format(hello["said"]))
        SETTINGS.unlink()
        raise ValueError("the agent did not begin: {}".format(hello["said"]))
    for old in HOME.glob("agent-*"):
        if old.name not in (folder_of(digest).name, before):
            shutil.rmtree(str(old))
    return hello


def switch(name):
    """End what runs, begin the agent in this folder -> its first line, or {"said": why there is none}."""
    end()
    link = HOME / "current.new"
    if link.is_symlink():
        link.unlink()
    link.symlink_to(name)
    link.replace(CURRENT)
    LOG.write_bytes(b"")
    program = CURRENT / "on_computer.py"
    service = has_systemd()
    if service:
        UNIT.parent.mkdir(parents=True, exist_ok=True)
        write(UNIT, SERVICE.format(python=sys.executable, program=program, log=LOG))
        for words in (["daemon-reload"], ["enable", "--quiet", UNIT.name], ["restart", UNIT.name]):
            systemctl(*words)
        lingers = subprocess.call(["loginctl", "enable-linger"], stderr=subprocess.DEVNULL) == 0
    else:
        with open(str(LOG), "ab") as log:
            child = subprocess.Popen([sys.executable, str(program), "run"], stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, start_new_session=True)  # fmt: skip
        PID.write_text(str(child.pid))
        lingers = False
    return dict(wait(None if service else child), service="systemd" if service else "process", lingers=lingers)


def wait(child):
    """The agent's first line, as soon as it is there."""
    deadline_s = time.monotonic() + BEGINS_S
    while time.monotonic() < deadline_s and (child is None or child.poll() is None):
        for line in LOG.read_text().splitlines():
            if line.startswith("{") and line.endswith("}") and "id" in json.loads(line):
                return json.loads(line)
        time.sleep(0.1)
    said = LOG.read_text().strip().splitlines()
    return {"said": said[-1] if said else f"it said nothing within {BEGINS_S:.0f} s"}


def end():
    if UNIT.exists() and has_systemd():
        systemctl("disable", "--now", "--quiet", UNIT.name)
    if not PID.exists():
        return
    pid = int(PID.read_text() or 0)
    deadline_s = time.monotonic() + ENDS_S
    try:
        while is_agent(pid):
            os.kill(pid, signal.SIGTERM if time.monotonic() < deadline_s else signal.SIGKILL)
            time.sleep(0.1)
    except ProcessLookupError:
        pass  # it ended between the look and the signal
    PID.unlink()


def is_agent(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"device.agent" in words or b"run" in words and any(word.endswith(b"/on_computer.py") for word in words)


def erase():
    end()
    if UNIT.exists():
        UNIT.unlink()
    for path in HOME.iterdir():
        shutil.rmtree(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()
    return {"erased": str(HOME)}


def run():
    """Become the agent."""
    settings = read_settings()
    options = [word for name in ("broker", "source", "ca", "board") if name in settings
               for word in ("--" + name, settings[name])]  # fmt: skip
    os.chdir(os.path.realpath(str(CURRENT)))
    os.execv(sys.executable, [sys.executable, "-m", "device.agent", "--store", str(HOME / "store"), *options])


def has_systemd():
    return (
        bool(shutil.which("systemctl"))
        and subprocess.call(
            ["systemctl", "--user", "show-environment"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        == 0
    )


def systemctl(*words):
    done = subprocess.run(["systemctl", "--user", *words], stderr=subprocess.PIPE)
    if done.returncode:
        raise OSError("systemctl --user {}: {}".format(words[0], done.stderr.decode(errors="replace").strip()))


def read_settings():
    return json.loads(SETTINGS.read_text()) if SETTINGS.exists() else {}


def write(path, text):
    part = path.with_name(path.name + ".part-of")
    with open(os.open(str(part), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def folder_of(digest):
    return HOME / ("agent-" + digest[:16])


def part_of(digest):
    return HOME / (digest[:16] + ".part")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
