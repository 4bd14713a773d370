"""What checks of a job mean, and checks of TCP and HTTP against real servers, within a network that is entered."""

import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from gateway.workloads.health import HEALTHY, STARTING, UNHEALTHY, Answer, Checked, check_http, check_tcp, is_due, judge
from gateway.workloads.workload import Health

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="entering another network needs root")
OWN = os.getpid()
HEALTH = Health(tcp=80, interval_s=10, retries=3, start_s=30)
STARTED_MS = 1_000_000


def after(answers):
    """The states after checks at the interval; each answer is why a check failed, or empty."""
    checked, states = Checked(), []
    for number, reason in enumerate(answers):
        at_ms = STARTED_MS + 10_000 * number
        assert is_due(checked, at_ms) or checked.state == UNHEALTHY
        checked = judge(HEALTH, checked, Answer(reason, at_ms), STARTED_MS)
        states.append(checked.state[0])
    return "".join(states)


@pytest.mark.parametrize(
    ("answers", "states"),
    [
        ([""], "h"),
        (["x", "x", "x"], "sss"),  # within start_s
        (["x"] * 6, "sssssu"),
        (["", "x", "x", "x"], "hhhu"),  # it had begun, so the start is over
        (["", "x", "x", "", "x", "x", ""], "hhhhhhh"),
        (["", "x", "x", "", "x", "x", "x"], "hhhhhhu"),
    ],
)
def test_three_failures_in_a_row_are_unhealthy_but_not_while_it_starts(answers, states):
    assert {STARTING, HEALTHY, UNHEALTHY} == {"starting", "healthy", "unhealthy"}
    assert after(answers) == states


def test_a_check_is_due_an_interval_after_the_last_ended():
    checked = judge(HEALTH, Checked(), Answer("", STARTED_MS), STARTED_MS)
    assert not is_due(checked, STARTED_MS + 9_999) and is_due(checked, STARTED_MS + 10_000)


@pytest.fixture
def server():
    """(port, what it answers next): a server that reads a little, answers and closes."""
    answers = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if answers and answers[0]:
                        connection.recv(4096)
                        connection.sendall(answers[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], answers
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@needs_root
@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
        (b"HTTP/1.1 500\r\n", False),
        (b"HTTP/1.1 2000 OK\r\n", False),
        (b"SSH-2.0-x\r\n", False),
        (b"HTTP/1.1", False),
        (b"x" * 100_000, False),
        (b"\xff\xfe 200\r\n", False),
        (b"", False),
    ],
)
def test_http_is_judged_by_its_status(server, answer, ok):
    port, answers = server
    answers.append(answer)
    found = check_http(OWN, f"{port}/ready", 5)
    assert (found == "") is ok and (ok or found.startswith(f"http {port}/ready: "))


@needs_root
def test_a_server_that_does_not_answer_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "timed out" in check_http(OWN, f"{listener.getsockname()[1]}/", 0.2)


@needs_root
def test_a_port_is_checked_in_the_network_of_the_process_and_no_other(server):
    port, _ = server
    command = ["unshare", "-n", sys.executable, "-c", "print(flush=True); input()"]
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        process.stdout.readline()
        before = os.readlink("/proc/thread-self/ns/net")
        assert check_tcp(OWN, port, 5) == ""
        assert "tcp" in check_tcp(process.pid, port, 5)
        assert os.readlink("/proc/thread-self/ns/net") == before
        process.stdin.close()
    assert check_tcp(process.pid, port, 5).startswith(f"tcp {port}: ")
    assert check_tcp(OWN, port, 5) == ""
