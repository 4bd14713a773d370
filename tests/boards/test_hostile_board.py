"""A board that answers anything over its REPL: nothing of it ends a command in a traceback or holds it up without end,
and what it says reaches the user's terminal as text alone.
"""

import contextlib
import itertools
import os
import pty
import select
import threading
import tty

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from boards import repl as repl_module
from boards.console import ConsoleError, Identity, copy_files, identify, open_console
from boards.selftest import run_selftest
from boards.settings import read_owner, read_settings
from gateway import cli
from gateway.errors import Exit

ESCAPE = "\x1b]0;owned\x07"
PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
TINYREN = Identity("b", "tinyren", "1", "m")


@contextlib.contextmanager
def board(answer, prompt=PROMPT):
    """The port of a board that takes code and sends what answer(code) gives, an iterable of octets."""
    side, port = pty.openpty()
    tty.setraw(port)
    os.set_blocking(side, False)
    ended = threading.Event()

    def tell(chunks):
        for chunk in chunks:
            while chunk and not ended.is_set():
                if select.select([], [side], [], 0.02)[1]:
                    chunk = chunk[os.write(side, chunk) :]
            if ended.is_set():
                return

    def run():
        heard = b""
        while not ended.is_set():
            if not select.select([side], [], [], 0.02)[0]:
                continue
            heard += os.read(side, 4096)
            for asked, said in ((b"\r\x01", prompt), (b"\x05A\x01", b"R\0")):
                if asked in heard:
                    heard = heard.partition(asked)[2]
                    tell([said])
            code, is_whole, rest = heard.partition(b"\x04")
            if is_whole:
                heard = rest
                tell(answer(code))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield os.ttyname(port)
    finally:
        ended.set()
        thread.join()
        os.close(side)
        os.close(port)


def printed(octets, raised=b""):
    """What a board sends that printed these octets, and raised those."""
    return [b"OK" + octets + b"\x04" + raised + b"\x04>"]


ASKED = [
    identify,
    read_settings,
    lambda repl: read_owner(repl, TINYREN),
    run_selftest,
    lambda repl: copy_files(repl, {"main.py": b"x"}, lambda *_: None),
]


@settings(max_examples=15, derandomize=True, deadline=None)
@given(
    said=some.one_of(
        some.binary(max_size=60).map(lambda octets: octets.replace(b"\x04", b"")),
        some.sampled_from([b"[" * 2049, b'{"name": "' + b"\xff" * 9, b"\xff\xfe\r\n", b"a\tb\r\nc\r\nd\xff"]),
    ),
    has_raised=some.booleans(),
    asked=some.sampled_from(ASKED),
)
def test_whatever_a_board_says_is_an_answer_or_refused_in_words(said, has_raised, asked):
    with board(lambda _: printed(b"", said) if has_raised else printed(said)) as port, open_console(port) as repl:
        try:
            asked(repl)
        except ConsoleError as error:
            assert str(error).isprintable() and len(str(error)) < 400


def test_a_board_that_names_itself_by_escape_sequences_is_shown_as_text(capsys):
    who = f"tinyren\t{ESCAPE}\r\n1{ESCAPE}\r\nm{ESCAPE}\r\n".encode()
    with board(lambda _: printed(who)) as port:
        with open_console(port) as repl:
            assert identify(repl) == Identity("?]0;owned?", "tinyren", "1?]0;owned?", "m?]0;owned?")
        assert cli.main(["flash", port]) != Exit.OK
    with board(lambda _: printed(b"", f"Traceback\r\nOSError: {ESCAPE}".encode())) as port:
        assert cli.main(["settings", port]) == Exit.FAILED
    said = capsys.readouterr()
    assert "owned" in said.err and not set(said.err + said.out) & set(ESCAPE[:1] + ESCAPE[-1:])


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: itertools.chain([b"OK"], itertools.repeat(b"x" * 512)),
        lambda _: itertools.chain([b"OK\x04"], itertools.repeat(b"x" * 512)),
        lambda _: itertools.repeat(b"no " * 99),
    ],
)
def test_a_board_that_prints_without_end_ends_the_conversation(answer, monkeypatch):
    monkeypatch.setattr(repl_module, "MOST_BYTES", 8192)
    with board(answer) as port, open_console(port) as repl:
        with pytest.raises(ConsoleError, match="got more than 8192 bytes|could not exec") as caught:
            identify(repl)
        assert "run the same command" in str(caught.value)


def test_a_board_that_prints_without_end_before_its_prompt_is_no_console(monkeypatch):
    monkeypatch.setattr(repl_module, "MOST_BYTES", 8192)
    with board(lambda _: (), prompt=b"boot " * 5000) as port:
        with pytest.raises(
            ConsoleError, match="got more than 8192 bytes, wanted an answer: .* press the board's reset"
        ):
            open_console(port)
