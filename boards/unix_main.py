"""The frozen `main` of MicroPython's unix port: joins a file, the link, the encoder and the agent until Ctrl-C."""

import os
from binascii import hexlify

import _tinyren
import host_model
from agent.loop import run
from agent.run import start, step
from agent.sampling import LinkSource
from micropython import const

SIZE = const(1024)


class FileMemory:
    """A file as the store's memory; each write is handed to the system before it returns."""

    size = SIZE
    erase_bytes = 0

    def __init__(self, path):
        try:
            os.stat(path)
        except OSError:
            with open(path, "wb") as file:
                file.write(b"\xff" * SIZE)
        self._file = open(path, "r+b")

    def read(self, addr, buf):
        self._file.seek(addr)
        self._file.readinto(buf)

    def write(self, addr, data):
        self._file.seek(addr)
        self._file.write(data)
        self._file.flush()


memory = FileMemory(os.getenv("TINYREN_STORE"))
model = _tinyren.Model(host_model.ARTIFACT)
agent = start(_tinyren, memory, LinkSource(), model, host_model.OFFSETS, host_model.SHIFTS, host_model.SAMPLE_MS)
print("device", hexlify(agent.identity.id).decode())
run(agent, _tinyren, step)
