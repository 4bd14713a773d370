"""The curve of a computer without packages: the shared object that is sent there gives the packages' bytes."""

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards import computer
from boards.board import BoardError
from device.native import curve, packaged_curve, shared

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEYS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)
EXAMPLES = settings(max_examples=40, derandomize=True, deadline=None)


@pytest.fixture(scope="module", autouse=True)
def brought():
    curve.BROUGHT = computer.build_native("x86_64-linux-gnu", lambda *_: None)
    yield
    curve.BROUGHT = shared.BROUGHT
    curve._library.cache_clear()


@EXAMPLES
@given(secret=KEYS, digest=DIGESTS)
def test_keys_signatures_and_recovery_are_the_packages(secret, digest):
    assert curve.pubkey(secret) == packaged_curve.pubkey(secret)
    signature = curve.sign(secret, digest)
    assert signature == packaged_curve.sign(secret, digest)
    assert curve.recover(digest, signature) == packaged_curve.recover(digest, signature) == curve.pubkey(secret)


@EXAMPLES
@given(one=KEYS, other=KEYS)
def test_both_sides_agree_on_a_secret_and_so_do_the_packages(one, other):
    points = [bytes([2 + public[64] % 2]) + public[1:33] for public in map(curve.pubkey, (one, other))]
    shared_secret = curve.ecdh(one, points[1])
    assert shared_secret == curve.ecdh(other, points[0]) == packaged_curve.ecdh(one, points[1])


@EXAMPLES
@given(data=st.binary(max_size=400))
def test_keccak_is_the_packages(data):
    assert curve.keccak256(data) == curve.keccak256(memoryview(data)) == packaged_curve.keccak256(data)


GOOD = (7).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pubkey", (bytes(32),)),
        ("pubkey", (ORDER.to_bytes(32, "big"),)),
        ("pubkey", (GOOD[1:],)),
        ("sign", (bytes(32), bytes(32))),
        ("sign", (GOOD, bytes(31))),
        ("ecdh", (GOOD, bytes(33))),
        ("ecdh", (GOOD, bytes(65))),
        ("recover", (bytes(32), bytes(65))),
        ("recover", (bytes(32), bytes(64) + b"\x04")),
    ],
)
def test_what_is_no_key_point_or_signature_is_a_value_error(name, arguments):
    with pytest.raises(ValueError):
        getattr(curve, name)(*arguments)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(digest=DIGESTS, signature=st.binary(min_size=65, max_size=65))
def test_any_bytes_as_a_signature_give_a_key_or_a_value_error(digest, signature):
    try:
        found = curve.recover(digest, signature)
    except ValueError:
        return
    assert found == packaged_curve.recover(digest, signature)


@pytest.mark.parametrize(
    ("abi", "machine"), [("x86_64-linux-gnu", 62), ("aarch64-linux-gnu", 183), ("arm-linux-gnueabihf", 40)]
)
def test_each_computers_shared_object_is_for_its_machine(abi, machine):
    if not shutil.which(computer.COMPILERS[abi][0]):
        pytest.skip(f"no compiler for {abi} here: apt-get install {computer.COMPILERS[abi][1]}")
    head = computer.build_native(abi, lambda *_: None).read_bytes()[:20]
    assert head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") == machine


def test_an_architecture_that_has_no_compiler_here_is_told_with_the_packages(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BoardError, match="arm-linux-gnueabihf-gcc is not installed: apt-get install gcc-arm-linux"):
        computer.build_native("arm-linux-gnueabihf", lambda *_: None)
    with pytest.raises(BoardError, match="abi: got 'sparc', wanted one of x86_64-linux-gnu, "):
        computer.build_native("sparc", lambda *_: None)
