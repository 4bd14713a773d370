"""EDIL's encryption on CPython: vectors, an implementation of its own, exact sums, refusals, hostile bytes."""

import array
import hashlib
import json
import random
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.edil_reference as reference
from device.agent.port import Port
from device.native import edil
from tests.edil_fuzz import fuzz
from tests.edil_refusals import READ_ONLY, REFUSALS, SETUP, WORK, call_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "edil.json").read_text())
RINGS = sorted(edil.MODULI)
KEY, OTHER, NOISE = bytes(range(32)), b"\xff" * 32, b"noise" * 6 + b"ab"
PACKED = reference.pack(1024, list(range(1024)))
IN_RANGE = {1: (-128, 127), 2: (-32896, 32639), 3: (-8421504, 8355711), 4: (-(2**31), 2139062143)}


def seal(ring, keys, a_key, noise, values, digits, count):
    """The ciphertext; what follows it in work is zeros."""
    work = bytearray(b"\xaa" * 4 * ring)
    length = edil.encrypt(ring, b"".join(keys), a_key, noise, array.array("i", values), digits, count, work)
    assert length == edil.CIPHERTEXT_BYTES[ring] and not any(work[length:])
    return bytes(work[:length])


def residues(ring, packed):
    return numpy.frombuffer(edil.unpack(ring, packed), numpy.uint32)


def test_the_committed_vectors_are_what_the_reference_computes():
    assert reference.make_vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["ciphertexts"], ids=lambda vector: vector["name"])
def test_each_vector_is_encrypted_to_its_bytes(vector):
    s_keys, a_key, noise = (bytes.fromhex(vector[name]) for name in ("s_keys", "a_key", "noise"))
    packed = seal(vector["ring"], [s_keys], a_key, noise, vector["values"], vector["digits"], vector["count"])
    assert (packed[:16].hex(), packed[-16:].hex()) == (vector["begins"], vector["ends"])
    assert hashlib.sha256(packed).hexdigest() == vector["sha256"]


@settings(max_examples=15, derandomize=True, deadline=None)
@given(st.data())
def test_any_message_is_encrypted_as_by_the_reference_and_read_with_its_secret(data):
    ring, digits, holders = (data.draw(st.sampled_from(choice)) for choice in (RINGS, range(1, 5), range(1, 5)))
    values = data.draw(st.lists(st.integers(*IN_RANGE[digits]), max_size=(ring - 2) // digits))
    *keys, a_key, noise = (data.draw(st.binary(min_size=32, max_size=32)) for _ in range(holders + 2))
    count = data.draw(st.integers(1, 255))
    packed = seal(ring, keys, a_key, noise, values, digits, count)
    assert packed == reference.encrypt(ring, keys, a_key, noise, values, digits, count)
    a, s = reference.uniform(ring, a_key), reference.secret(ring, keys)
    opened = reference.decrypt(ring, reference.unpack(ring, packed), a, s)
    assert opened == reference.message(ring, values, digits, count)


@pytest.mark.parametrize("ring", RINGS)
def test_secrets_products_and_uniform_polynomials_are_those_of_the_reference(ring):
    keys, weights = [KEY, OTHER, NOISE], [1, 4, 2]
    assert numpy.frombuffer(edil.secret(ring, b"".join(keys)), numpy.int32).tolist() == reference.secret(ring, keys)
    s = reference.secret(ring, keys, weights)
    assert numpy.frombuffer(edil.secret(ring, b"".join(keys), weights), numpy.int32).tolist() == s
    a = reference.uniform(ring, KEY)
    assert numpy.frombuffer(edil.uniform(ring, KEY), numpy.uint32).tolist() == a
    edges = random.Random(ring).choices([-(2**24), 2**24 - 1, 0, -1], k=ring)
    for factor in (s, edges, [2**24 - 1] * ring):
        found = numpy.frombuffer(edil.product(ring, KEY, array.array("i", factor)), numpy.uint32)
        assert found.tolist() == reference.product(ring, a, factor)


@pytest.mark.parametrize("ring", RINGS)
def test_the_weighted_sum_of_256_devices_of_full_range_is_exact(ring):
    seeded, q = random.Random(ring), edil.MODULI[ring]
    sums, expected, s = numpy.zeros(ring, numpy.uint64), numpy.zeros(ring - 2, int), numpy.zeros(ring, numpy.int64)
    for device in range(64):
        weight = (1, 7, 4, 4)[device % 4]
        values = [-128] * 400 + [127] * 400 + seeded.choices(range(-128, 128), k=ring - 802)
        keys = seeded.randbytes(64)
        edil.add_packed(ring, seal(ring, [keys], KEY, seeded.randbytes(32), values, 1, 255), sums, weight)
        expected += weight * numpy.array(values)
        s += weight * numpy.frombuffer(edil.secret(ring, keys), numpy.int32).astype(int)
    masks = numpy.frombuffer(edil.product(ring, KEY, s.astype(numpy.int32)), numpy.uint32).astype(object)
    rounded = ((sums.astype(object) + masks) % q * 2**16 + q // 2) // q % 2**16
    opened = numpy.where(rounded >= 2**15, rounded - 2**16, rounded)
    assert opened[:-2].tolist() == expected.tolist()
    assert rounded[-2:].tolist() == [256 * 255, 256]


@pytest.mark.parametrize("ring", RINGS)
def test_packing_and_unpacking_are_each_other_and_name_the_first_residue_that_is_too_big(ring):
    q = edil.MODULI[ring]
    values = numpy.random.default_rng(1).integers(0, q, ring, numpy.uint32)
    packed = edil.pack(ring, values)
    assert packed == reference.pack(ring, values.tolist()) and edil.unpack(ring, packed) == values.tobytes()
    sums = numpy.arange(ring, dtype=numpy.uint64)
    for place in (0, 5, ring - 1):
        bad = values.tolist()
        bad[place] = bad[-1] = q
        for call in (
            lambda bad=bad: edil.pack(ring, numpy.array(bad, numpy.uint32)),
            lambda bad=bad: edil.unpack(ring, reference.pack(ring, bad)),
            lambda bad=bad: edil.add_packed(ring, reference.pack(ring, bad), sums, 2),
        ):
            with pytest.raises(ValueError, match=f"^residue {place}: got q or more, wanted less than {q}$"):
                call()
    assert sums.tolist() == list(range(ring))
    edil.add_packed(ring, packed, sums, 3)
    assert sums.tolist() == [at + 3 * int(value) for at, value in enumerate(values)]


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.binary(min_size=3456, max_size=3456))
def test_foreign_bytes_are_residues_below_q_or_refused(packed):
    try:
        found = residues(1024, packed)
    except ValueError:
        assert max(reference.unpack(1024, packed)) >= edil.MODULI[1024]
    else:
        assert found.tolist() == reference.unpack(1024, packed) and max(found) < edil.MODULI[1024]


@pytest.mark.parametrize(("rows", "clip"), [(0, 127), (3, 127), (0, 5), (2, 1)])
def test_moments_stand_in_the_order_of_the_specification(rows, clip):
    rng, width = numpy.random.default_rng(rows), 7
    windows = [(rng.integers(-128, 128, width), rng.integers(-128, 128, rows)) for _ in range(5)]
    sums = array.array("i", [1000] * (width + 28 + rows * (1 + width)))
    expected = numpy.full(len(sums), 1000)
    for z, x in windows:
        edil.add_moments(sums, z.astype(numpy.int8).tobytes(), array.array("b", x.tolist()), clip)
        z, x = z.clip(-clip, clip), x.clip(-clip, clip)
        upper = [z[i] * z[j] for i in range(width) for j in range(i, width)]
        expected += numpy.concatenate([z, upper, x, numpy.outer(x, z).ravel()]).astype(int)
    assert sums.tolist() == expected.tolist()


@pytest.mark.parametrize(("call", "message"), REFUSALS)
def test_what_does_not_fit_is_refused_and_changes_nothing(call, message):
    names = {"encrypt": edil.encrypt, "add_moments": edil.add_moments}
    exec(f"{WORK}\n{SETUP}", names)
    with pytest.raises(ValueError) as raised:
        eval(call, names)
    assert str(raised.value) == message
    assert names["is_unchanged"]()
    eval(call_of(0, "1024"), names)
    assert not names["is_unchanged"]()


@pytest.mark.parametrize("digits", IN_RANGE)
def test_the_values_that_digits_carry_end_where_the_specification_ends_them(digits):
    low, high = IN_RANGE[digits]
    seal(1024, [KEY], KEY, NOISE, [low, high], digits, 1)
    for value in (low - 1, high + 1):
        if -(2**31) <= value < 2**31:
            with pytest.raises(ValueError, match="values: got one beyond"):
                seal(1024, [KEY], KEY, NOISE, [value], digits, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: edil.secret(1024, bytes(33)), "s_keys: got 33 bytes for 1 weights, wanted 32 for each"),
        (lambda: edil.secret(1024, bytes(64), [1]), "s_keys: got 64 bytes for 1 weights, wanted 32 for each"),
        (lambda: edil.secret(1024, bytes(32), [0]), "weights: got a sum of 0, wanted each from 1, all at most 65536"),
        (lambda: edil.secret(1, b""), "ring: got 1, wanted 1024, 2048 or 4096"),
        (lambda: edil.product(1024, KEY, bytes(4092)), "s: got 4092 bytes, wanted 4096"),
        (
            lambda: edil.product(1024, KEY, array.array("i", [0] * 1023 + [2**24])),
            "s: got a coefficient beyond what secrets have, wanted -2^24..2^24-1",
        ),
        (lambda: edil.product(1024, bytes(3), bytes(4096)), "a_key: got 3 bytes, wanted 32"),
        (lambda: edil.uniform(1000, KEY), "ring: got 1000, wanted 1024, 2048 or 4096"),
        (lambda: edil.pack(1024, bytes(4092)), "residues: got 4092 bytes, wanted 4096"),
        (lambda: edil.unpack(1024, PACKED[1:]), "ciphertext: got 3455 bytes, wanted 3456"),
        (lambda: edil.add_packed(1024, PACKED, bytearray(4096)), "sums: got 4096 bytes, wanted 8192"),
        (lambda: edil.add_packed(1024, PACKED, bytearray(8192), 0), "weight: got 0, wanted 1..65536"),
    ],
)
def test_what_a_gateway_asks_for_and_cannot_have_is_refused(call, message):
    with pytest.raises(ValueError) as raised:
        call()
    assert str(raised.value) == message


@pytest.mark.parametrize("call", [*READ_ONLY, "add_packed(1024, bytes(3456), bytes(8192))"])
def test_buffers_that_cannot_be_written_are_refused(call):
    names = {name: getattr(edil, name) for name in ("encrypt", "add_moments", "add_packed")}
    exec(f"{WORK}\n{SETUP}", names)
    with pytest.raises(TypeError):
        eval(call, names)


def test_the_c_sources_keep_to_their_buffers_and_never_overflow():
    tried, encrypted = fuzz(60, 1)
    assert tried == 60 and 10 < encrypted < 50


def test_two_ports_agree_on_a_key_and_recover_who_signed():
    port, mine, other = Port("", 0), b"\1" * 32, b"\2" * 32
    points = [port.pubkey(secret) for secret in (mine, other)]
    short = [bytes([2 + (point[64] & 1)]) + point[1:33] for point in points]
    assert port.ecdh(mine, short[1]) == port.ecdh(other, short[0]) != port.ecdh(mine, short[0])
    assert port.recover(NOISE, port.sign(mine, NOISE)) == points[0]
    for refused in (b"\2" + b"\xff" * 32, b"\5" + short[0][1:], points[0], short[0][:32]):
        with pytest.raises(ValueError):
            port.ecdh(mine, refused)
    for refused in (bytes(65), port.sign(mine, NOISE)[:64], port.sign(mine, NOISE)[:64] + b"\4"):
        with pytest.raises(ValueError):
            port.recover(NOISE, refused)
