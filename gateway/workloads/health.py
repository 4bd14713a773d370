"""Whether a job answers: decides when to check and what checks mean, and does the checks of TCP and HTTP.

A check goes to the loopback of the container's own network, which the gateway enters for as long as it opens a socket
(setns(2); needs root). So a job without a network can be checked, and no port of this machine is opened. Three states:
starting (within start_s, until a first check succeeds), healthy, unhealthy (`retries` failed in a row).
"""

import ctypes
import os
import socket
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.workloads.workload import Health

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
ANSWER_BYTES = 256
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Checked:
    """What is known of a run's health. failures: in a row. reason: of the last failure."""

    state: str = STARTING
    failures: int = 0
    next_ms: int = 0
    reason: str = ""


class Answer(NamedTuple):
    """A check's outcome: why it failed, or empty."""

    reason: str
    ended_ms: int


def is_due(checked: Checked, now_ms: int) -> bool:
    return checked.state != UNHEALTHY and now_ms >= checked.next_ms


def judge(health: Health, checked: Checked, answer: Answer, started_ms: int) -> Checked:
    """What is known after a check."""
    next_ms = answer.ended_ms + 1000 * health.interval_s
    if not answer.reason:
        return Checked(HEALTHY, 0, next_ms)
    if checked.state == STARTING and answer.ended_ms < started_ms + 1000 * health.start_s:
        return replace(checked, next_ms=next_ms, reason=answer.reason)
    failures = checked.failures + 1
    state = UNHEALTHY if failures >= health.retries else checked.state
    return Checked(state, failures, next_ms, answer.reason)


def check_tcp(pid: int, port: int, timeout_s: float) -> str:
    """Empty if something listens on a port of a process's network, else why not."""
    try:
        with _connected(pid, port, timeout_s):
            return ""
    except OSError as error:
        return f"tcp {port}: {error}"


def check_http(pid: int, place: str, timeout_s: float) -> str:
    """Empty if PORT/PATH answers a GET with 200 to 399, else why not."""
    port, _, path = place.partition("/")
    end_s = time.monotonic() + timeout_s
    answer = b""
    try:
        with _connected(pid, int(port), timeout_s) as connection:
            connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            while b"\n" not in answer and len(answer) < ANSWER_BYTES:
                connection.settimeout(max(0.001, end_s - time.monotonic()))
                piece = connection.recv(ANSWER_BYTES - len(answer))
                if not piece:
                    break
                answer += piece
    except OSError as error:
        return f"http {place}: {error}"
    words = answer.split(b"\n")[0].split()
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    if is_http and 200 <= int(words[1][:4]) < 400:
        return ""
    return f"http {place}: got {answer.splitlines()[:1]!r:.80}, wanted a status from 200 to 399"


def _connected(pid: int, port: int, timeout_s: float) -> socket.socket:
    """A connection to a port of the loopback of a process's network. This thread is back in its own network after."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            _enter(theirs)
            try:
                opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                _enter(own)
        finally:
            os.close(theirs)
    finally:
        os.close(own)
    try:
        opened.settimeout(timeout_s)
        opened.connect(("127.0.0.1", port))
    except OSError:
        opened.close()
        raise
    return opened


def _enter(network: int) -> None:
    if _libc.setns(network, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}; checks need root")
