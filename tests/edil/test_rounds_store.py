"""Rounds on the disk: a gateway that is killed anywhere goes on with everything that it has acknowledged."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.aggregation.aggregate import Refused
from gateway.aggregation.rounds_store import Ciphertext, RoundsStore
from tests.edil_gateway import Process
from tests.edil_rounds import DEADLINE_MS, NOW_MS, OWNER_ADDRESS, Agent, Gateway, manifest

ROOT = Path(__file__).parents[2]
AGENTS = [Agent(number) for number in range(1, 5)]
VALUES = list(range(-8, 8))

# Stores ciphertexts one by one, and prints the number of each once it may be acknowledged.
WRITER = """
import sys
from pathlib import Path
from gateway.aggregation.rounds_store import Ciphertext, RoundsStore
store = RoundsStore(Path(sys.argv[1]))
for number in range(100_000):
    content = number.to_bytes(4, "big") * 864
    store.add([Ciphertext(bytes(32), number.to_bytes(20, "big"), 0, bytes(32), bytes(32), b"frame", content, number)])
    print(number, flush=True)
"""


def full_round(folder):
    gateway = Gateway(folder, AGENTS)
    frame, digest, enrolment = gateway.open(weights={AGENTS[1].id: 3})
    for agent in AGENTS:
        assert gateway.give(agent, frame, enrolment, VALUES) == "stored"
    return gateway, digest


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path):
    path = tmp_path / "rounds.sqlite"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        for _ in range(20):
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        for line in writer.stdout:
            last = int(line)
    store = RoundsStore(path)
    rows = list(store.ciphertexts(bytes(32)))
    assert [row.received_ms for row in rows] == list(range(len(rows))) and len(rows) > last
    assert all(row.content == row.received_ms.to_bytes(4, "big") * 864 for row in rows)


def test_a_round_closed_after_a_crash_has_the_same_bytes(tmp_path):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    killed, digest = full_round(tmp_path / "killed")
    whole, _ = full_round(tmp_path / "whole")
    whole.rounds.close_round(digest)
    killed.restart()
    killed.now_ms = DEADLINE_MS + 1
    killed.rounds.turn()
    assert killed.rounds.closed(digest) == whole.rounds.closed(digest)
    killed.restart()
    assert killed.rounds.closed(digest) == whole.rounds.closed(digest)


def test_a_crash_while_closing_leaves_the_round_open_and_it_is_closed_with_the_same_bytes(tmp_path, monkeypatch):
    gateway, digest = full_round(tmp_path)

    class Killed(Exception):
        pass

    def die(*_):
        raise Killed

    gateway.now_ms = DEADLINE_MS + 1
    with monkeypatch.context() as patched:
        patched.setattr(gateway.store, "close_round", die)
        with pytest.raises(Killed):
            gateway.rounds.turn()
    gateway.restart()
    assert gateway.rounds.status(digest)["state"] == "open"
    gateway.rounds.turn()
    (tmp_path / "other").mkdir()
    other, _ = full_round(tmp_path / "other")
    other.rounds.close_round(digest)
    assert gateway.rounds.closed(digest) == other.rounds.closed(digest)


def test_a_gateway_killed_in_the_middle_of_uploads_closes_the_set_that_it_would_have_closed(tmp_path):
    frame = manifest()
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    gateway, whole = Process(tmp_path / "killed"), Process(tmp_path / "whole")
    digest, enrolment = gateway.begin(AGENTS, OWNER_ADDRESS, frame)
    assert whole.begin(AGENTS, OWNER_ADDRESS, frame) == [digest, enrolment]
    uploads = [agent.messages(digest, enrolment, agent.encrypt(frame, enrolment, VALUES)) for agent in AGENTS]
    for number, messages in enumerate(uploads):
        for message in messages[: 5 + number]:
            gateway.ask(*message)
        gateway.kill()
        gateway = Process(tmp_path / "killed")
        assert gateway.begin(AGENTS, OWNER_ADDRESS, frame) == [digest, enrolment]
        assert [gateway.ask(*message) for message in messages][-1] == ["stored"]
        gateway.kill()
        gateway = Process(tmp_path / "killed")
        gateway.begin(AGENTS, OWNER_ADDRESS, frame)
        assert [gateway.ask(*message) for message in messages][0] == ["stored"]
        assert [whole.ask(*message) for message in messages][-1] == ["stored"]
    assert gateway.ask("close") == whole.ask("close")
    gateway.kill()
    whole.kill()


def test_a_clock_set_back_between_runs_reopens_nothing(tmp_path):
    gateway, digest = full_round(tmp_path)
    late = Agent(9)
    gateway.devices[late.id], gateway.owners[late.id] = late.known, OWNER_ADDRESS
    enrolment = next(iter(gateway.store.enrolments()))[0]
    gateway.now_ms = DEADLINE_MS + 1
    gateway.rounds.turn()
    closed = gateway.rounds.closed(digest)
    gateway.now_ms = NOW_MS - 1_000_000
    gateway.restart()
    gateway.rounds.turn()
    assert gateway.rounds.status(digest)["state"] == "closed" and gateway.rounds.closed(digest) == closed
    assert gateway.give(late, manifest(), enrolment, VALUES) == "closed"
    with pytest.raises(Refused, match="round: got 1, wanted above 1"):
        gateway.rounds.open_round(manifest(rows=15))


def test_a_clock_set_forward_between_runs_closes_with_everything_that_was_acknowledged(tmp_path):
    gateway, digest = full_round(tmp_path)
    gateway.now_ms += 10_000_000
    gateway.restart()
    gateway.rounds.turn()
    assert len(gateway.rounds.status(digest)["devices"]) == len(AGENTS)
    assert gateway.rounds.status(digest)["state"] == "closed"


def test_a_round_that_finds_no_space_to_close_is_closed_later(tmp_path):
    gateway, digest = full_round(tmp_path)
    gateway.now_ms = DEADLINE_MS + 1
    database = gateway.store._database
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}")
    gateway.rounds.turn()
    assert gateway.rounds.status(digest)["state"] == "open" and gateway.rounds.rejected["space"] == 1
    database.execute("PRAGMA max_page_count = 100000")
    gateway.rounds.turn()
    assert gateway.rounds.status(digest)["state"] == "closed"


def test_a_ciphertext_that_the_disk_has_changed_is_left_out_and_that_is_said(tmp_path):
    gateway, digest = full_round(tmp_path)
    gateway.store._database.execute("UPDATE ciphertext SET content = zeroblob(3456) WHERE device = ?", (AGENTS[0].id,))
    gateway.rounds.close_round(digest)
    assert f"0x{AGENTS[0].id.hex()} is damaged and left out" in gateway.said[0]
    assert gateway.rounds.closed(digest)[0].count(AGENTS[0].id) == 0


def test_ciphertexts_of_one_batch_are_kept_whole_or_not_at_all(tmp_path):
    store = RoundsStore(tmp_path / "rounds.sqlite")
    good = Ciphertext(bytes(32), bytes(20), 0, bytes(32), bytes(32), b"frame", b"content", 1)
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        store.add([good, good._replace(place=1, content=None)])
    assert store.places(bytes(32)) == []
