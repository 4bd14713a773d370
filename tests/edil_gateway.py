"""A gateway's rounds as a program: lines on stdin, each a word and hex; it is told of devices and never of a key.

device ID PUBLIC_KEY OWNER · round MANIFEST -> M, Enrolment's digest · TOPIC PAYLOAD -> statuses
close -> state, SHA-256 of the set · keep BYTES: holds them in memory, so that a search of the memory must find them
"""

import os
import subprocess
import sys
from pathlib import Path

from gateway.intake.registry import Device
from tests.edil_rounds import MODEL, Gateway

HERE = Path(__file__).resolve().parent


def serve(folder, lines):
    gateway, kept, digest = Gateway(folder), [], None
    for line in lines:
        word, *rest = line.split()
        values = [bytes.fromhex(text) for text in rest]
        if word == "device":
            gateway.devices[values[0]] = Device(*values[:2], "test", "none", "0", MODEL, "none", 1)
            gateway.owners[values[0]] = values[2]
        elif word == "round":
            _, digest, enrolment = gateway.open(values[0])
            print(digest.hex(), enrolment.hex(), flush=True)
        elif word == "keep":
            kept.append(values)
            print("kept", flush=True)
        elif word == "close":
            gateway.rounds.close_round(digest)
            status = gateway.rounds.status(digest)
            print(status["state"], status["set"], flush=True)
        else:
            print(*[status for *_, status in gateway.send([(word, values[0])])], flush=True)


class Process:
    """This program on a folder, as a child of a test."""

    def __init__(self, folder):
        environment = os.environ | {"PYTHONPATH": f"{HERE.parent}:{HERE}"}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, __file__, str(folder)]
        self.child = subprocess.Popen(command, cwd=HERE.parent, env=environment, text=True, **pipes)

    def tell(self, *words):
        line = " ".join(word if isinstance(word, str) else word.hex() for word in words)
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def ask(self, *words):
        self.tell(*words)
        return self.child.stdout.readline().split()

    def begin(self, agents, owner, frame):
        """Have it know devices of an owner, and open a round: (M, Enrolment's digest)."""
        for agent in agents:
            self.tell("device", agent.id, agent.public_key, owner)
        return [bytes.fromhex(text) for text in self.ask("round", frame)]

    def kill(self):
        self.child.kill()
        self.child.communicate()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.stdin)
