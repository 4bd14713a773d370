"""A board that speaks Improv, asked over a pty: MicroPython with device/agent/improv.py, and boards that misbehave."""

import contextlib
import io
import json
import os
import pty
import select
import subprocess
import threading
import tty

import pytest

from boards import improv_port
from boards.console import ConsoleError
from boards.improv_port import About, ask, join
from boards.unix import build_unix
from device.agent import improv
from gateway import cli
from gateway.errors import Exit
from tests.up_site import ROOT

PROGRAM = """
import micropython, select, sys, time
from agent.improv import WIFI, Improv
micropython.kbd_intr(-1)
poll = select.poll()
poll.register(sys.stdin, select.POLLIN)
board = Improv("tinyren", "0.1.0", "ESP32-C3", "pump hall")
print("boot: a line before, and IMPROV in it")
while True:
    poll.poll(100)
    out = board.receive(sys.stdin.buffer.read(1), time.ticks_ms())
    if board.asked and board.asked[0] == WIFI:
        right = board.asked[1:] == ("Werk 7", "long-enough")
        out += board.joined("http://gateway.local/") if right else board.not_joined()
    sys.stdout.buffer.write(out)
"""
PASSWORD = "long-enough"
ABOUT = About("tinyren", "0.1.0", "ESP32-C3", "pump hall")


@contextlib.contextmanager
def opened():
    """(the board's side, the port's name) of a pty without a terminal's manners."""
    board, port = pty.openpty()
    tty.setraw(port)
    try:
        yield board, os.ttyname(port)
    finally:
        os.close(board)
        os.close(port)


@pytest.fixture(scope="module")
def micropython():
    return build_unix(lambda *_: None)


@pytest.fixture
def board(micropython):
    """A port at which MicroPython runs PROGRAM."""
    with opened() as (side, port):
        place = {"stdin": side, "stdout": side, "env": {"MICROPYPATH": str(ROOT / "device")}}
        process = subprocess.Popen([micropython, "-c", PROGRAM], **place)
        yield port
        process.kill()
        process.wait()


@contextlib.contextmanager
def answering(answer):
    """A port at which answer(octets) gives what comes back for what came."""
    ended = threading.Event()
    with opened() as (side, port):

        def run():
            while not ended.is_set():
                if select.select([side], [], [], 0.02)[0]:
                    os.write(side, answer(os.read(side, 4096)))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield port
        finally:
            ended.set()
            thread.join()


def info(*texts):
    data = improv.join_texts(texts)
    return improv.encode(improv.RESULT, bytes((improv.ASK_INFO, len(data))) + data)


def test_a_board_is_asked_what_it_is_and_goes_on(board):
    assert ask(board) == ABOUT == ask(board)


def test_a_board_joins_a_network_or_says_that_it_could_not(board):
    with pytest.raises(ConsoleError, match="could not join 'Werk 8', its settings are as before; check name and pass"):
        join(board, "Werk 8", PASSWORD)
    assert join(board, "Werk 7", PASSWORD) == (ABOUT, "http://gateway.local/")


def test_the_command_has_the_board_join_and_never_shows_the_password(board, capsys, monkeypatch):
    words = ["settings", board, "--set", "ssid=Werk 7", "--set", "password=-", "--json"]
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n" + "wrong-password\n"))
    assert cli.main(words) == Exit.OK
    done = capsys.readouterr()
    told = json.loads(done.out)
    assert told["settings"] == {"ssid": "Werk 7", "password": "set"} and told["joined"] is True
    assert (told["board"], told["firmware"], told["page"]) == ("pump hall", "tinyren 0.1.0", "http://gateway.local/")
    assert cli.main(words) == Exit.FAILED
    wrong = capsys.readouterr()
    assert "could not join 'Werk 7'" in wrong.err and not wrong.out
    assert not any(secret in done.out + done.err + wrong.err for secret in (PASSWORD, "wrong-password"))


def test_a_board_that_does_not_speak_it_is_told_no_password(monkeypatch):
    monkeypatch.setattr(improv_port, "ANSWER_S", 0.3)
    heard = []
    for said in (
        b"",
        b"\r\n>>> ",
        b"IMPROV\x01\x04\xff" + bytes(99),
        info("two", "texts"),
        info("x")[:-3] + b"\xff\xff\n",
    ):
        with answering(lambda octets, said=said: (heard.append(octets), said)[1]) as port:
            assert join(port, "Werk 7", PASSWORD) is None
    assert heard and PASSWORD.encode() not in b"".join(heard)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (improv.BUSY, "joining a network just now; run the same command again"),
        (improv.INVALID, "refuses these settings"),
        (None, "got no answer within"),
    ],
)
def test_a_board_that_refuses_or_falls_silent_is_told_with_what_to_do(error, said, monkeypatch):
    monkeypatch.setattr(improv_port, "JOIN_S", 0.5)

    def answer(octets):
        if bytes((improv.COMMAND, 2, improv.ASK_INFO)) in octets:
            return info("a", "b", "c", "d\x1b[31m" + "e" * 199)
        return b"" if error is None else improv.encode(improv.ERROR, bytes((error,)))

    with answering(answer) as port:
        with pytest.raises(ConsoleError, match=said):
            join(port, "Werk 7", PASSWORD)
        assert ask(port) == About("a", "b", "c", "d?[31m" + "e" * 194)


def test_a_board_that_vanishes_while_it_is_asked_is_told():
    board, port = pty.openpty()
    tty.setraw(port)
    timer = threading.Timer(0.2, os.close, [board])
    timer.start()
    with pytest.raises(ConsoleError, match="plug the board in again"):
        join(os.ttyname(port), "Werk 7", PASSWORD)
    timer.join()
    os.close(port)


def test_a_port_that_is_gone_is_told():
    with pytest.raises(ConsoleError, match="plug the board in again"):
        ask("/dev/ttyNOT")
