"""Run an emulated board as a child process: QEMU with our firmware, a REPL on a pty, a link, sensors and memory chips.

It decides nothing: when QEMU ends, `poll` and `wait` say so, and whoever supervises calls `restart` (with backoff): a
power cut to the guest. A reset by the guest or its watchdog keeps RAM and does not end QEMU. It imports nothing of the
gateway.

What it reads of a board is the table `[emulator]` of its board.toml:
  program, package  the QEMU binary, and the Debian package that holds it
  arguments         QEMU's arguments for the machine. They name two character devices that always exist, `repl` and
                    `link`; the memory images by their file names; and, if `sensors`, devices with the ids `temperature`
                    (tmp105) and `magnetometer` (lsm303dlhc_mag)
  images            [{file, bytes, erased_bytes}]: made once, sparse, the first erased_bytes 0xFF as a new chip's; kept
  sensors           whether `set_sample` has chips to set
  counter           {address, nanoseconds, capture}: a free-running 32-bit counter, how long one count of it is, and
                    the register, if there is one, to which a 1 is written to have the count at address

QMP goes over an inherited socket pair, so there is no socket file to leave behind and no path to be too long.
Sources: QEMU QMP reference; QEMU hw/sensor/{tmp105,lsm303dlhc_mag}.c for the units of their properties; prctl(2).
"""

import fcntl
import json
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LOG_BYTES = 256 * 1024  # of each log; the one before is kept beside it
UNLOCK_S = 2.0  # for a QEMU whose parent was killed just now, to be gone too
ANSWER_S = 10.0  # QMP's answers are immediate; a starved host's are not

# QEMU gets SIGKILL when the thread that started it ends (PR_SET_PDEATHSIG counts threads, not processes). So one
# thread, which lives as long as this process, starts them all: a caller's thread may end, but `kill -9` leaks nothing.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="emulator-starter")


class EmulatorError(Exception):
    """QEMU is missing, did not start, or refused a command; the message is one line."""


class Emulator:
    """One emulated board.

    Args:
        board: has `name` (text) and `emulator` (the table above).
        elf: the firmware, a path.
        folder: where images and logs live; made if missing. One emulator at a time uses it: its first image is locked.
        link: (host, port) of the broker, which QEMU connects to and reconnects each second; None for a link to nowhere.
        repl: "pty", or "null" for a board without a REPL.
        icount: count time in instructions, one a nanosecond. Deterministic, and slower than real time.
    """

    def __init__(self, board, elf, folder, link=None, repl="pty", icount=False):
        if repl not in ("pty", "null"):
            raise ValueError(f"repl: got {repl!r}, wanted 'pty' or 'null'")
        self.board = board
        self.elf = Path(elf).resolve()
        self.folder = Path(folder).resolve()
        self.link = link
        self.repl = repl
        self.icount = icount
        self.pty = None  # the REPL's device node while running, else None
        self._process = None
        self._qmp = None
        self._sample = None
        self._lock = threading.Lock()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Start QEMU and return when the guest runs.

        Raises:
            EmulatorError: no QEMU, no firmware, the folder in use, or QEMU ended; with QEMU's own last line.
        """
        if self.poll() is None and self._process:
            raise EmulatorError(f"{self.board.name}: already running as process {self._process.pid}")
        self.stop()
        command = self._command()
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._bound_logs()
        ours, theirs = socket.socketpair()
        with self._lock_images() as image, theirs, open(self.folder / "logs" / "qemu.log", "ab") as log:
            qmp = ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control"]
            # start_new_session: a terminal's Ctrl-C is for us, who then stop the emulators in order.
            self._process = _starter.submit(
                subprocess.Popen,
                command + qmp,
                cwd=self.folder,
                start_new_session=True,
                pass_fds=(theirs.fileno(), image.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            ).result()
        ours.settimeout(ANSWER_S)
        self._qmp = ours.makefile("rw", encoding="utf-8")
        ours.close()
        try:
            self._receive()
            self.qmp("qmp_capabilities")
            if self.repl == "pty":
                names = {device["label"]: device["filename"] for device in self.qmp("query-chardev")}
                self.pty = names["repl"].removeprefix("pty:")
        except EmulatorError:
            self.stop()
            raise

    def stop(self):
        """End QEMU and wait until it is gone; nothing stays but images and logs. Harmless when it is not running."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        with self._lock:
            if self._qmp:
                self._qmp.close()
            self._process = self._qmp = self.pty = self._sample = None

    def restart(self):
        """Stop and start: a reset of the board, or its return after an end. The pty's name may change."""
        self.stop()
        self.start()

    def poll(self):
        """None while QEMU runs or was never started, else its exit code. Bounds the logs."""
        self._bound_logs()
        return self._process.poll() if self._process else None

    def wait(self, timeout_s=None):
        """Wait until QEMU ends by itself; its exit code, or None after timeout_s or when it was never started."""
        try:
            return self._process.wait(timeout_s) if self._process else None
        except subprocess.TimeoutExpired:
            return None

    def alive(self):
        """Whether QEMU runs. Bounds the logs, as poll does."""
        return self._process is not None and self.poll() is None

    def qmp(self, command, **arguments):
        """One QMP command; its `return` value.

        Raises:
            EmulatorError: not running, ended, or refused.
        """
        with self._lock:
            if not self._qmp:
                raise EmulatorError(f"{self.board.name}: {command}: not running")
            try:
                self._qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
                self._qmp.flush()
            except OSError as error:
                raise EmulatorError(self._why_ended()) from error
            answer = self._receive()
            while "event" in answer:
                if answer["event"] == "RESET":
                    self._sample = None
                answer = self._receive()
        if "error" in answer:
            raise EmulatorError(f"{self.board.name}: {command}: {answer['error']['desc']}")
        return answer["return"]

    def set_sample(self, sample):
        """Make the sensors read sample, int[4]: temperature in 1/256 degC, then x, y, z in counts.

        The properties' units are 1/1000 degC and nanotesla (1 gauss = 100,000 nT), which the chips cut to their own
        steps, so each value is rounded up to the least that is cut to the wanted one. Counts are those of the gain at
        reset (1100 and 980 a gauss), which the driver keeps. Unchanged values are not set again.

        Raises:
            EmulatorError: not running, or a value beyond what boards/signals.py clamps to.
        """
        before, self._sample = self._sample, tuple(sample)  # None again at the news of a reset: the chips are as new
        for index, (device, name, numerator, denominator) in enumerate(_PROPERTIES):
            # The first is always set, because such news comes before an answer.
            if not index or None in (before, self._sample) or sample[index] != before[index]:
                value = -(-sample[index] * numerator // denominator)
                self.qmp("qom-set", path=f"/machine/peripheral/{device}", property=name, value=value)

    def open_repl(self, timeout_s=30.0):
        """A conversation with the board (boards/repl.py), to be closed; it ends what runs there.

        It takes a second to begin: that often QEMU looks whether somebody has opened the pty.

        Raises:
            EmulatorError: no REPL, or no answer in timeout_s.
        """
        from boards.repl import Repl

        if not self.pty:
            raise EmulatorError(f"{self.board.name}: no REPL to run code on")
        return Repl(self.board.name, self.pty, timeout_s)

    def exec(self, code, timeout_s=30.0):
        """Run Python on the board, in a conversation of its own; what it printed, text. Raises as Repl does."""
        with self.open_repl(timeout_s) as repl:
            return repl.exec(code)

    def count_instructions(self, call, setup="pass"):
        """Instructions of one evaluation of the expression `call`, after `setup` has run; int. Needs icount.

        The resolution is that of the board's counter: 1000 instructions on the MPS2 boards (1 MHz), 100 on virt
        (10 MHz). Time asleep (WFI) would count too. Instructions are not cycles: QEMU has no pipeline, no cache and no
        wait states.
        """
        if not self.icount:
            raise EmulatorError(f"{self.board.name}: counting instructions needs icount=True")
        counter = self.board.emulator["counter"]
        with self.open_repl() as repl:
            moved = repl.count(counter["address"], call, setup, counter.get("capture"))
        return moved * counter["nanoseconds"]

    def _command(self):
        emulator = self.board.emulator
        program = shutil.which(emulator["program"])
        if not program:
            raise EmulatorError(f"{emulator['program']} is not installed: apt-get install {emulator['package']}")
        if not self.elf.is_file():
            raise EmulatorError(f"{self.board.name}: no firmware at {self.elf}: build it first")
        host, port = self.link or (None, None)
        link = f"socket,id=link,host={host},port={port},reconnect=1,nodelay=on" if self.link else "null,id=link"
        # Not -kernel: with a second flash, as virt has here, QEMU would start in that flash and not load the kernel.
        firmware = "loader,file=" + str(self.elf).replace(",", ",,")
        command = ["setpriv", "--pdeathsig", "KILL", "--", program, *emulator["arguments"], "-device", firmware]
        command += ["-display", "none", "-monitor", "none", "-nic", "none", "-chardev", link]
        command += ["-chardev", f"{self.repl},id=repl,logfile=logs/repl.log,logappend=on"]
        return command + (["-icount", "shift=0"] if self.icount else [])

    def _lock_images(self):
        """The first image, open and locked, when all are there; QEMU inherits the lock and holds it while it lives."""
        path, *_ = [self._make_image(**image) for image in self.board.emulator["images"]]
        file = open(path, "rb")
        deadline_s = time.monotonic() + UNLOCK_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file
            except BlockingIOError as error:
                if time.monotonic() > deadline_s:
                    file.close()
                    raise EmulatorError(f"{self.board.name}: another emulator runs in {self.folder}") from error
                time.sleep(0.02)

    def _make_image(self, file, bytes, erased_bytes):
        path = self.folder / file
        if not path.exists():
            # Renamed into place when whole, so that a power cut leaves no short image, which QEMU would refuse.
            fresh = path.with_suffix(".new")
            with open(fresh, "wb") as image:
                image.write(b"\xff" * erased_bytes)
                image.truncate(bytes)
            fresh.rename(path)
        return path

    def _bound_logs(self):
        for log in self.folder.glob("logs/*.log"):
            if log.stat().st_size > LOG_BYTES:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                log.open("wb").close()  # QEMU appends, so it goes on at the new end

    def _receive(self):
        try:
            line = self._qmp.readline()
        except TimeoutError as error:
            raise EmulatorError(f"{self.board.name}: QMP: no answer in {ANSWER_S} s") from error
        except OSError as error:
            raise EmulatorError(self._why_ended()) from error
        if not line.endswith("\n"):
            raise EmulatorError(self._why_ended())
        return json.loads(line)

    def _why_ended(self):
        lines = (self.folder / "logs" / "qemu.log").read_text(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "empty")
        return f"{self.board.name}: QEMU ended; the end of its log: {last}"


# Device, property, and its unit over the sample's: degC / 256 to degC / 1000; counts to nanotesla at the gain of reset.
_PROPERTIES = (
    ("temperature", "temperature", 1000, 256),
    ("magnetometer", "mag-x", 100_000, 1100),
    ("magnetometer", "mag-y", 100_000, 1100),
    ("magnetometer", "mag-z", 100_000, 980),
)
