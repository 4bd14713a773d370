"""MicroPython's unix port with the C module and the frozen agent: a device without a board, against a real broker."""

import ast
import contextlib
import os
import random
import signal
import subprocess
from pathlib import Path

import coincurve
import pytest
from eth_hash.auto import keccak

from boards.unix import BOARD, build_unix_agent
from device.agent import wire
from tests.agent.test_agent_process import Gateway, waiting
from tests.agent.test_natmod import FILL, LOCKED, REFUSALS, RUN, WINDOWS, expected
from tests.agent_bench import heartbeat
from tests.broker_link import Broker

SAMPLES = 33  # one window and one more


@pytest.fixture(scope="module")
def micropython():
    return build_unix_agent(lambda *_: None)


@pytest.fixture
def run(micropython, tmp_path):
    begin = "import _tinyren\nfrom _tinyren import Model\nfrom host_model import ARTIFACT\nmodel = Model(ARTIFACT)\n"

    def run(program):
        done = subprocess.run([micropython, "-c", begin + FILL + program], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_embeddings_are_those_of_this_machine_and_a_run_allocates_nothing(run):
    assert run(RUN.format(count=WINDOWS)).split() == expected()
    assert run(LOCKED) == "ran\n"


@pytest.mark.parametrize(("call", "message"), [row for row in REFUSALS if "address" not in row[0]])
def test_a_bad_argument_is_refused_with_its_name(run, call, message):
    program = "window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)\n"
    program += f"try:\n    {call}\nexcept Exception as error:\n    print(type(error).__name__ + ':', error)\n"
    assert run(program) == message + "\n"


def test_keccak_keys_signatures_and_entropy_are_as_on_a_board(run):
    seeded = random.Random(3)
    pairs = [(seeded.randbytes(32), seeded.randbytes(32)) for _ in range(5)]
    calls = "[(_tinyren.pubkey(k), _tinyren.sign(k, d), _tinyren.keccak256(d)) for k, d in pairs]"
    got = ast.literal_eval(run(f"pairs = {pairs}\nprint({calls})"))
    keys = [(coincurve.PrivateKey(key), digest) for key, digest in pairs]
    assert got == [
        (k.public_key.format(compressed=False), k.sign_recoverable(d, hasher=None), keccak(d)) for k, d in keys
    ]
    draw = "b = bytearray(1000)\n_tinyren.entropy(b)\nprint(bytes(b))"
    drawn = [ast.literal_eval(run(draw)) for _ in range(2)]
    assert drawn[0] != drawn[1] and len(set(drawn[0])) > 200


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    yield broker.start()
    broker.stop()


@contextlib.contextmanager
def device(micropython, broker, store):
    environment = {**os.environ, "TINYREN_LINK": f"127.0.0.1:{broker.port}", "TINYREN_STORE": str(store)}
    command = [micropython, "-c", "import main"]
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_the_agent_counts_inferences_keeps_its_key_and_comes_back_after_the_broker(micropython, broker, tmp_path):
    gateway, store = Gateway(broker.port), Path(tmp_path / "store")
    link = waiting(broker)
    link.until(lambda: gateway.ready)
    try:
        with device(micropython, broker, store) as child:
            link.until(lambda: gateway.payloads("announce"))
            me, payload = wire.open_sign1(gateway.payloads("announce")[0], 384)[:2]
            assert BOARD in str(wire.decode_announce(payload))
            assert child.stdout.readline() == f"device {me.hex()}\n"
            gateway.client.publish(wire.topic(me, "samples"), wire.encode_samples("a test", bytes(8 * SAMPLES)), 1)
            window = 0
            while not gateway.payloads("heartbeat") or not heartbeat(gateway.payloads("heartbeat")[-1])[4]:
                window += 1
                before = len(gateway.payloads("heartbeat"))
                gateway.give_beacon(1, window)
                link.until(lambda before=before: len(gateway.payloads("heartbeat")) > before)
            broker.stop()
            broker.start()
            link.until(lambda: gateway.ready == 2)
            before = len(gateway.payloads("heartbeat"))
            gateway.give_beacon(2, 0)
            link.until(lambda: len(gateway.payloads("heartbeat")) > before)
        with device(micropython, broker, store) as child:
            assert child.stdout.readline() == f"device {me.hex()}\n"
            child.send_signal(signal.SIGINT)
            child.wait(10)
    finally:
        gateway.client.loop_stop()
    assert store.stat().st_mode & 0o777 == 0o600
