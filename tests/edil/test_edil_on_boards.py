"""EDIL's encryption in our firmware, on every emulated core and the unix port: the bytes of the vectors, the refusals,
no allocation, as many instructions whatever the secrets are; and the curve's two calls that it needs."""

import ast
import random
from contextlib import ExitStack
from functools import cache

import coincurve
import pytest

from boards.board import agent_board_names, board_names
from tests.edil_boards import check_heap, check_refusals, check_vectors, open_host
from tests.edil_refusals import SETUP

# Counts each message repeats times, with the counter as fine as it goes meanwhile.
COUNT = """
from machine import mem32
if {prescale}: prescale, mem32[{prescale}] = mem32[{prescale}], 0
s_keys, e_key, values = bytearray(64), bytearray(32), array("i", [0] * 1000)
def measure(keys, noise, value):
    s_keys[:], e_key[:] = keys, noise
    for at in range(1000):
        values[at] = value
    before = mem32[{address}]
    for _ in range({repeats}):
        encrypt(1024, s_keys, key, e_key, values, 1, 9, work)
    return (mem32[{address}] - before) & 0xFFFFFFFF
secrets = (bytes(64), bytes(32), -128), (key + other, noise, 127), (b"\\xff" * 64, other, 0)
measure(*secrets[0])  # MicroPython remembers where it found a name
print([measure(*secret) for secret in secrets])
if {prescale}: mem32[{prescale}] = prescale
"""
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture(scope="module")
def boot(tmp_path_factory):
    """A host by its name, booted once."""
    with ExitStack() as ends:
        yield cache(lambda name: ends.enter_context(open_host("firmware", name, tmp_path_factory.mktemp(name))))


@pytest.fixture(params=[*board_names(), "unix"])
def host(request, boot):
    return boot(request.param)


def test_every_vector_is_encrypted_to_its_bytes(host):
    check_vectors(host)


def test_what_does_not_fit_is_refused_and_changes_nothing(host):
    check_refusals(host)


def test_neither_encryption_nor_moments_allocate(host):
    check_heap(host)


@pytest.fixture(params=agent_board_names())
def firmware(request, boot):
    board = boot(request.param)
    board.exec(SETUP + "import _tinyren as t")
    return board


def test_an_encryption_takes_as_many_instructions_whatever_its_secrets_are(firmware):
    counter = firmware.board.emulator["counter"]
    is_arm = firmware.board.core.startswith("Cortex")
    repeats, tick = (50, 40) if is_arm else (110, 100)  # instructions of a tick of the counter
    prescale = 0x4002801C if is_arm else 0
    program = COUNT.format(repeats=repeats, prescale=prescale, address=counter["address"])
    counts = ast.literal_eval(firmware.exec(program))
    apart = (max(counts) - min(counts)) * tick / repeats
    assert apart < 5, counts  # instructions of one encryption: a tick at either end, and an interrupt that falls in
    assert min(counts) * tick / repeats > 500_000


def test_an_encryption_for_two_holders_takes_at_most_800_000_instructions_on_a_cortex_m3(boot):
    board = boot("qemu_mps2_an385")
    counter = board.board.emulator["counter"]
    setup = SETUP + "values = array('i', [-4000000] * 340)"
    call = "encrypt(1024, key + other, key, noise, values, 3, 8, work)"
    assert board.repl.count(counter["address"], call, setup) * counter["nanoseconds"] <= 800_000


def test_keys_are_agreed_and_recovered_as_by_coincurve(firmware):
    seeded = random.Random(5)
    pairs = [(seeded.randrange(1, ORDER).to_bytes(32, "big"), seeded.randbytes(32)) for _ in range(4)]
    keys = [coincurve.PrivateKey(secret) for secret, _ in pairs]
    points = [key.public_key.format() for key in keys]
    signatures = [key.sign_recoverable(digest, hasher=None) for key, (_, digest) in zip(keys, pairs, strict=True)]
    rows = [(secret, digest, points[i - 1], signatures[i]) for i, (secret, digest) in enumerate(pairs)]
    got = ast.literal_eval(firmware.exec(f"print([(t.ecdh(k, p), t.recover(d, s)) for k, d, p, s in {rows}])"))
    uncompressed = [key.public_key.format(compressed=False) for key in keys]
    assert got == [(keys[i].ecdh(points[i - 1]), uncompressed[i]) for i in range(4)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("t.ecdh(key, b'\\2' + b'\\xff' * 32)", "public: got no point, or key: got 0 or n or more"),
        ("t.ecdh(key, b'\\5' + bytes(32))", "public: got no point, or key: got 0 or n or more"),
        ("t.ecdh(bytes(32), b'\\2' + t.pubkey(key)[1:33])", "public: got no point, or key: got 0 or n or more"),
        ("t.ecdh(key, t.pubkey(key))", "public: got 65 bytes, wanted 33"),
        ("t.recover(key, t.sign(key, key)[:64] + b'\\4')", "signature: got one of no key, wanted r, s and 0..3"),
        ("t.recover(key, bytes(65))", "signature: got one of no key, wanted r, s and 0..3"),
        ("t.recover(key, b'\\xff' * 64 + b'\\0')", "signature: got one of no key, wanted r, s and 0..3"),
        ("t.recover(key, bytes(64))", "signature: got 64 bytes, wanted 65"),
    ],
)
def test_what_is_no_point_and_no_signature_is_refused(firmware, call, message):
    assert firmware.refusal(call) == f"ValueError: {message}"
