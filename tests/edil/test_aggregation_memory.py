"""A running gateway's memory, database and output hold no plaintext of a device, nor a key of its ciphertext."""

import json
import secrets
import struct
from pathlib import Path

import pytest

from tests.edil_gateway import Process
from tests.edil_rounds import HOLDERS, OWNER_ADDRESS, Agent, manifest

VALUES = 24


def encodings(values):
    """Bytes of the values as a program could hold them."""
    for code in ("b", "h", "i", "q", "f", "d"):
        yield struct.pack(f"<{len(values)}{code}", *values)
    for code in ("h", "i", "q"):
        yield struct.pack(f">{len(values)}{code}", *values)
    text = json.dumps(values)
    yield from (text.encode(), text.replace(" ", "").encode(), text.replace(",", "").encode())
    yield bytes(value & 0xFF for value in reversed(values))


def read_memory(pid):
    """Each readable region of a process."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            bounds, access = line.split()[:2]
            if access.startswith("r") and "[v" not in line:
                start, end = (int(part, 16) for part in bounds.split("-"))
                memory.seek(start)
                yield memory.read(end - start)


def found_in(needles, places):
    """Which needles are anywhere in the places."""
    found = set()
    for content in places:
        found |= {needle for needle in needles - found if needle in content}
    return found


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc/PID/mem")
def test_no_plaintext_of_a_device_is_in_a_running_gateway(tmp_path):
    agents = [Agent(number) for number in range(1, 9)]
    plain = {agent.id: [secrets.randbelow(255) - 127 for _ in range(VALUES)] for agent in agents}
    known = [secrets.randbelow(255) - 127 for _ in range(VALUES)]
    gateway, frame = Process(tmp_path), manifest(rows=VALUES)
    try:
        digest, enrolment = gateway.begin(agents, OWNER_ADDRESS, frame)
        sent = {}
        for agent in agents:
            sent[agent.id] = agent.encrypt(frame, enrolment, plain[agent.id])
            *_, last = [gateway.ask(*message) for message in agent.messages(digest, enrolment, sent[agent.id])]
            assert last == ["stored"]
        assert gateway.ask("close")[0] == "closed"
        assert gateway.ask("keep", *encodings(known)) == ["kept"]
        secret = {needle for values in plain.values() for needle in encodings(values)}
        secret |= {key for agent in agents for key in agent.keys(enrolment, digest, 0, HOLDERS)}
        controls = set(encodings(known)) | {ciphertext[:64] for ciphertext in sent.values()}
        found = found_in(secret | controls, read_memory(gateway.child.pid))
    finally:
        gateway.child.stdin.close()
        output = gateway.child.stdout.read(), gateway.child.stderr.read()
        gateway.child.wait()
    assert found == controls, "the search finds what is there, and nothing of a device"
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not found_in(secret, [*files, *(text.encode() for text in output)])
    assert found_in({ciphertext[:64] for ciphertext in sent.values()}, files)
