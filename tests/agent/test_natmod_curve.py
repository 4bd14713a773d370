"""The curve as a native module on stock MicroPython of every core: coincurve's bytes, the firmware's refusals."""

import json
import random
import subprocess
from pathlib import Path

import coincurve
import pytest
from eth_hash.auto import keccak

from boards import natmod
from tests.curve_calls import GENERATOR, NO_POINT, NO_SIGNATURE, ORDER, REFUSALS
from tests.natmod_boards import HOSTS, ignore, open_stock

VECTORS = Path(__file__).parents[1] / "vectors"
BUDGETS_BYTES = {"armv6m": 40000, "rv32imc": 45000, "x64": 41000}
BUDGET_BYTES = 32500  # of the other architectures
SIGN_INSTRUCTIONS = {"armv6m": 4_600_000, "rv32imc": 1_150_000}
SIGN_INSTRUCTIONS_MOST = 720_000
UNBLINDED = "RuntimeError: curve: is not blinded, call blind(32 random bytes) first"
CHURN = """
import gc
for _ in range(20):
    junk = [bytearray(b"\xff" * 512) for _ in range(40)]
    junk = None
    gc.collect()
"""
STACK_BYTES = 2750  # of each function, below the Python that calls it: a Pico W has 8 KiB for all of it
WIPED_BYTES = 2048  # STACK_BYTES of device/native/secp.c
AFTER_BYTES = 256  # of the top of that, on which lies what runs next

# Prints what a function gave for each of its arguments, or the words of its refusal.
TRY_ALL = """
def try_all(function, calls):
    for arguments in calls:
        try:
            print(function(*arguments).hex())
        except ValueError as error:
            print(error)
"""
# Below the Python that calls, the stack is filled with a pattern. Prints how many zeros lie from the deepest byte up
# that was written on, what the library left there was wiped if they are as many as the wipe has; and before them, how
# deep that byte lies.
WIPED = """
from machine import mem32
import micropython
def used_and_wiped(stack_end, call):
    top = stack_end - micropython.stack_use()
    at = (top - 8192) & ~3
    for address in range(at, at + 7680, 4):
        mem32[address] = 0x5EED5EED
    call()
    while mem32[at] == 0x5EED5EED:
        at += 4
    deepest = at
    while mem32[at] == 0:
        at += 4
    print(top - deepest, at - deepest)
"""


@pytest.fixture(scope="module", params=[*HOSTS, "unix"])
def host(request, tmp_path_factory):
    with open_stock(request.param, natmod.CURVE_MODULE, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(scope="module")
def curve(host):
    """A host that is blinded. The tests of one that is not come before, by their place in this file."""
    host.exec("blind(bytes(range(32)))" + TRY_ALL)
    return host


@pytest.fixture(scope="module", params=HOSTS)
def board(request, tmp_path_factory):
    with open_stock(request.param, natmod.CURVE_MODULE, tmp_path_factory.mktemp(request.param)) as running:
        running.exec("key, other, digest = b'1' * 32, b'2' * 32, b'3' * 32\nblind(digest)")
        yield running


def draw(name, size):
    """Keys and digests, among them the least, the largest, and digests that are no scalar."""
    seeded = random.Random(name)
    edges = [(1, 0), (ORDER - 1, 2**256 - 1), (ORDER // 2, ORDER), (2, ORDER - 1)]
    drawn = edges + [(seeded.randrange(1, ORDER), seeded.getrandbits(256)) for _ in range(size)]
    return [(key.to_bytes(32, "big"), digest.to_bytes(32, "big")) for key, digest in drawn]


def answers(curve, function, calls):
    """What the function gives for each of calls, hex or a refusal."""
    return curve.exec(f"try_all({function}, {calls})").splitlines()


def or_refusal(call, refusal):
    try:
        return call().hex()
    except ValueError:
        return refusal.removeprefix("ValueError: ")


def test_nothing_but_keccak_works_before_it_is_blinded_and_a_refused_seed_blinds_nothing(host):
    assert host.refusal("blind(bytes(31))") == "ValueError: seed: got 31 bytes, wanted 32"
    assert host.refusal("blind('text')") == "ValueError: seed: got 4 bytes, wanted 32"
    assert host.refusal("blind(None)") == "TypeError: object with buffer protocol required"
    for call in ("pubkey(key)", "sign(key, key)", f"ecdh(key, {GENERATOR!r})", "recover(key, bytes(65))"):
        assert host.refusal(f"key = b'1' * 32\n{call}") == UNBLINDED
    assert host.exec("print(keccak256(b'').hex())") == keccak(b"").hex() + "\n"


def test_keccak_is_that_of_ethereum_at_each_edge_of_its_block(curve):
    sizes = (0, 1, 31, 32, 135, 136, 137, 271, 272, 273, 1000)
    got = curve.exec(f"for n in {sizes}: print(keccak256(bytes(i & 255 for i in range(n))).hex())").split()
    assert got == [keccak(bytes(i & 255 for i in range(n))).hex() for n in sizes]


def test_public_keys_and_signatures_are_those_of_coincurve(curve):
    pairs = draw("sign", 16)
    keys = [(coincurve.PrivateKey(key), digest) for key, digest in pairs]
    assert answers(curve, "sign", pairs) == [key.sign_recoverable(digest, hasher=None).hex() for key, digest in keys]
    points = [key.public_key.format(compressed=False).hex() for key, _ in keys]
    assert answers(curve, "pubkey", [pair[:1] for pair in pairs]) == points


def test_keys_agreed_with_others_are_those_of_coincurve_and_what_is_no_point_is_refused(curve):
    seeded = random.Random("ecdh")
    others = [coincurve.PrivateKey(key).public_key.format() for key, _ in draw("others", 4)]
    others += [bytes([seeded.choice((2, 3))]) + seeded.randbytes(32) for _ in range(12)]  # half of them points
    calls = [(key, other) for (key, _), other in zip(draw("ecdh", 16), others, strict=True)]
    wanted = [or_refusal(lambda pair=pair: coincurve.PrivateKey(pair[0]).ecdh(pair[1]), NO_POINT) for pair in calls]
    assert 8 < sum(len(text) == 64 for text in wanted) < len(calls)
    assert answers(curve, "ecdh", calls) == wanted


def test_recovered_keys_are_those_of_coincurve_whatever_the_signature(curve):
    seeded = random.Random("recover")
    calls = [(digest, coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)) for key, digest in draw("r", 4)]
    calls += [(seeded.randbytes(32), seeded.randbytes(64) + bytes([seeded.randrange(5)])) for _ in range(20)]

    def recover(digest, signature):
        if signature[64] > 3:
            raise ValueError
        public = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
        return public.format(compressed=False)

    wanted = [or_refusal(lambda call=call: recover(*call), NO_SIGNATURE) for call in calls]
    assert 8 < sum(len(text) == 130 for text in wanted) < len(calls)
    assert answers(curve, "recover", calls) == wanted


def test_vectors_of_heartbeats_bindings_and_accounts_are_signed_and_agreed_to_their_bytes(curve):
    wire, bindings, accounts = (
        json.loads((VECTORS / f"{name}.json").read_text()) for name in ("wire", "eip712", "account")
    )
    secret = bytes.fromhex(wire["device"]["secret"])
    point = bytes.fromhex(answers(curve, "pubkey", [(secret,)])[0])
    assert (bytes([2 + point[64] % 2]) + point[1:33]).hex() == wire["device"]["public_key"]
    assert answers(curve, "keccak256", [(point[1:],)])[0][24:] == wire["device"]["id"]
    frames = [case for case in wire["valid"] if "digest" in case]
    signed = answers(curve, "sign", [(secret, bytes.fromhex(case["digest"])) for case in frames])
    assert [text[:128] for text in signed] == [case["frame"][-128:] for case in frames] and len(frames) == 5
    binding = bindings["binding"][0]
    signed = answers(curve, "sign", [(bytes.fromhex(binding["secret"]), bytes.fromhex(binding["digest"]))])
    assert signed[0][:128] == binding["signature"][:128]
    agreed = [(bytes.fromhex(case["secret"]), bytes.fromhex(case["gateway"])) for case in accounts["valid"]]
    assert answers(curve, "ecdh", agreed) == [case["agreed"] for case in accounts["valid"]]


def test_a_bad_argument_is_refused_as_by_the_firmware_and_changes_nothing(curve):
    probe = "print(sign(b'1' * 32, b'2' * 32).hex(), pubkey(b'3' * 32).hex())"
    before = curve.exec(probe)
    for call, message in [*REFUSALS, ("blind(bytes(33))", "ValueError: seed: got 33 bytes, wanted 32")]:
        assert curve.refusal(call) == message, call
        assert curve.exec(probe) == before, call


def test_another_blinding_leaves_the_seed_and_every_signature_as_they_are(curve):
    (key, digest), *_ = draw("blind", 1)[4:]
    wanted = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None).hex()
    for seed in (bytes(32), b"\xff" * 32):
        begin = f"seed = bytearray({seed!r})\nblind(seed)\n"
        assert (
            curve.exec(begin + f"print(bytes(seed) == {seed!r}, sign({key!r}, {digest!r}).hex())") == f"True {wanted}\n"
        )


def test_an_import_takes_the_files_size_of_heap_and_calls_keep_nothing(board):
    size = natmod.build_native_module(board.board.natmod["arch"], ignore, natmod.CURVE_MODULE).stat().st_size
    assert 0 < board.took_bytes <= size + 1024
    board.exec("point = pubkey(other)\npublic = bytes([2 + point[64] % 2]) + point[1:33]\nsigned = sign(key, digest)")
    before = board.free_bytes()
    board.exec("for _ in range(8): sign(key, digest), pubkey(key), ecdh(key, public), recover(digest, signed)")
    assert board.free_bytes() == before


def test_code_and_blinding_outlive_collections_that_write_over_what_is_free(board):
    before = board.exec("print(sign(key, digest))")
    board.exec(CHURN)
    assert board.exec("print(sign(key, digest))") == before


def test_keys_of_every_kind_take_the_same_instructions(board):
    keys = [
        bytes(31) + b"\x01",
        b"\x00" * 16 + b"\xff" * 16,
        b"\xff" * 15 + b"\x00" * 17,
        (ORDER - 1).to_bytes(32, "big"),
        b"1" * 32,
    ]
    for call in (f"ecdh(k, {GENERATOR!r})", "pubkey(k)", "sign(k, digest)"):
        counts = []
        for key in keys:
            board.exec(f"import gc\nk = {key!r}\ngc.collect()")
            counts.append(board.count(call))
        assert max(counts) - min(counts) <= 3 * board.board.emulator["counter"]["nanoseconds"], call


def test_nothing_of_a_key_stays_on_the_stack(board):
    nm = board.board.toolchain["compiler"].removesuffix("gcc") + "nm"
    symbols = subprocess.run([nm, board.emulator.elf], capture_output=True, text=True, check=True).stdout.splitlines()
    stack_end = next(int(line.split()[0], 16) for line in symbols if line.endswith(" _estack"))
    board.exec(f"public = {GENERATOR!r}\n" + WIPED)
    for call in ("pubkey(key)", "sign(key, digest)", "blind(digest)", "ecdh(key, public)"):
        used, wiped = map(int, board.exec(f"used_and_wiped({stack_end}, lambda: {call})").split())
        assert -AFTER_BYTES <= wiped - WIPED_BYTES < 64 and used <= STACK_BYTES, (call, used)
    board.exec("signed = sign(key, digest)")
    assert int(board.exec(f"used_and_wiped({stack_end}, lambda: recover(digest, signed))").split()[0]) <= STACK_BYTES


def test_a_signature_takes_no_more_instructions_than_allowed(board):
    arch = board.board.natmod["arch"]
    assert 0 < board.count("sign(key, digest)") <= SIGN_INSTRUCTIONS.get(arch, SIGN_INSTRUCTIONS_MOST)


@pytest.mark.parametrize("arch", natmod.ARCHITECTURES)
def test_a_module_is_within_the_budget_of_code(arch):
    size = natmod.build_native_module(arch, ignore, natmod.CURVE_MODULE).stat().st_size
    assert size <= BUDGETS_BYTES.get(arch, BUDGET_BYTES)
