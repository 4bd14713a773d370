"""A real mosquitto on a free port, and a link that carries a client's bytes to it under a clock that the test moves."""

import contextlib
import select
import shutil
import socket
import subprocess
import time

PATIENCE_S = 8


class Broker:
    """mosquitto as a child process; stop and start it on the same port."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        lines = f"listener {self.port} 127.0.0.1", "allow_anonymous true", "user root", "set_tcp_nodelay true"
        self._config.write_text("\n".join(lines) + "\n")
        self._process = None

    def start(self):
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self
        raise AssertionError("mosquitto does not listen")

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Link:
    """Joins a client (or an agent with one) to a broker. now_ms moves only by `pass_ms`."""

    def __init__(self, broker, now_ms=0):
        self.broker = broker
        self.now_ms = now_ms
        self.client = None
        self.tick = None
        self._socket = None

    def join(self, client, tick=None):
        self.client = client
        self.tick = tick or client.tick
        self.plug()

    def plug(self):
        """Connect the wire anew; as on a UART, the client is not told."""
        self.unplug()
        self._socket = socket.create_connection(("127.0.0.1", self.broker.port))
        self._socket.setblocking(False)

    @property
    def is_plugged(self):
        return self._socket is not None

    def unplug(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def pass_ms(self, ms, step_ms=50):
        """Let virtual time pass, the client ticking as it does."""
        for _ in range(0, ms, step_ms):
            self.now_ms = (self.now_ms + step_ms) & 0x3FFFFFFF
            self.turn(0)

    def until(self, is_so, step_ms=0):
        """Turn until is_so(): bytes need real time to come and go, but virtual time passes only by step_ms a turn."""
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, "what the test waits for did not come"
            self.now_ms = (self.now_ms + step_ms) & 0x3FFFFFFF
            self.turn(0.005)

    def turn(self, wait_s):
        """Read, tick, write once. A wire that is not plugged swallows what is written, as a UART does."""
        if self._socket is not None and select.select([self._socket], [], [], wait_s)[0]:
            try:
                data = self._socket.recv(4096)
            except OSError:
                data = b""
            if data:
                self.client.feed(data, self.now_ms)
            else:
                self.unplug()
        self.tick(self.now_ms)
        while len(self.client.pending()):
            size = len(self.client.pending())
            if self._socket is not None:
                try:
                    size = self._socket.send(self.client.pending())
                except BlockingIOError:
                    return
                except OSError:
                    self.unplug()
            self.client.written(size)
