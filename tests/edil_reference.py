"""EDIL.md's encryption a second time, for tests: pycryptodome's ChaCha20, products by the definition, whole numbers.

Slow, and shares nothing with the C sources but the specification. Polynomials are lists of int. The committed vectors
come from here: `python -m tests.edil_reference` prints them.
"""

import hashlib
import json
import random

import numpy
from Crypto.Cipher import ChaCha20

RINGS = {1024: (132120577, 27, 73993), 2048: (132120577, 27, 160172), 4096: (1073692673, 30, 236231)}
T = 2**16


def words(key: bytes, count: int) -> list[int]:
    stream = ChaCha20.new(key=key, nonce=bytes(12)).encrypt(bytes(4 * count))
    return [int.from_bytes(stream[at : at + 4], "little") for at in range(0, 4 * count, 4)]


def small(ring: int, key: bytes) -> list[int]:
    drawn = words(key, 2 * ring)
    bits = [(word & (1 << 21) - 1).bit_count() for word in drawn]
    return [u - v for u, v in zip(bits[::2], bits[1::2], strict=True)]


def uniform_values(ring: int, key: bytes) -> list[int]:
    """a at psi^(2 brv(i) + 1), i = 0..N-1."""
    q, bits, _ = RINGS[ring]
    return [value for word in words(key, 2 * ring) if (value := word & (1 << bits) - 1) < q][:ring]


def uniform(ring: int, key: bytes) -> list[int]:
    """a's coefficients: a_k = psi^-k / N * sum over j of a(psi^(2j + 1)) psi^-2jk."""
    q, _, psi = RINGS[ring]
    length = ring.bit_length() - 1
    values = [0] * ring
    for place, value in enumerate(uniform_values(ring, key)):
        values[int(f"{place:0{length}b}"[::-1], 2)] = value
    omega, unscale = pow(psi, -2, q), pow(ring, -1, q)
    sums = _fourier(values, omega, q)
    return [total * pow(psi, -k, q) * unscale % q for k, total in enumerate(sums)]


def _fourier(values, omega, q):
    """Sum over j of values[j] omega^jk, for each k."""
    if len(values) == 1:
        return values
    even, odd = (_fourier(values[at::2], omega * omega % q, q) for at in (0, 1))
    odd = [value * pow(omega, k, q) for k, value in enumerate(odd)]
    return [(a + b) % q for a, b in zip(even, odd, strict=True)] + [(a - b) % q for a, b in zip(even, odd, strict=True)]


def product(ring: int, a: list[int], s: list[int]) -> list[int]:
    """a * s modulo X^N + 1 and q, by the definition."""
    q = RINGS[ring][0]
    doubled = numpy.array([-value % q for value in a] + a, dtype=numpy.int64)
    total = numpy.zeros(ring, dtype=numpy.int64)
    for power, factor in enumerate(s):
        total = (total + doubled[ring - power : 2 * ring - power] * (factor % q)) % q
    return total.tolist()


def digits_of(value: int, digits: int) -> list[int]:
    found = []
    for _ in range(digits):
        digit = (value + 128) % 256 - 128
        found.append(digit)
        value = (value - digit) // 256
    assert value == 0
    return found


def message(ring: int, values: list[int], digits: int, count: int) -> list[int]:
    m = [digit for value in values for digit in digits_of(value, digits)]
    return m + [0] * (ring - 2 - len(m)) + [count, 1]


def pack(ring: int, residues: list[int]) -> bytes:
    bits = RINGS[ring][1]
    whole = sum(residue << bits * place for place, residue in enumerate(residues))
    return whole.to_bytes(ring * bits // 8, "little")


def unpack(ring: int, packed: bytes) -> list[int]:
    bits, whole = RINGS[ring][1], int.from_bytes(packed, "little")
    return [whole >> bits * place & (1 << bits) - 1 for place in range(ring)]


def secret(ring: int, keys: list[bytes], weights: list[int] | None = None) -> list[int]:
    parts = [small(ring, key) for key in keys]
    weights = weights or [1] * len(keys)
    return [sum(weight * part[i] for weight, part in zip(weights, parts, strict=True)) for i in range(ring)]


def encrypt(ring: int, keys, a_key: bytes, noise: bytes, values, digits: int, count: int) -> bytes:
    q = RINGS[ring][0]
    a_s, e = product(ring, uniform(ring, a_key), secret(ring, keys)), small(ring, noise)
    m = message(ring, values, digits, count)
    return pack(ring, [((q * m[i] + T // 2) // T - a_s[i] - e[i]) % q for i in range(ring)])


def decrypt(ring: int, b: list[int], a: list[int], s: list[int]) -> list[int]:
    """m, each within -t/2..t/2."""
    q = RINGS[ring][0]
    noisy = [(x + y) % q for x, y in zip(b, product(ring, a, s), strict=True)]
    rounded = [(value * T + q // 2) // q % T for value in noisy]
    return [value - T if value >= T // 2 else value for value in rounded]


_DRAWS_Q = "a draw of exactly q 150940"  # the SHA-256 of which is an a_key whose stream has q in it, to be left out


def _cases():
    """(name, ring, holders, values, digits, count)."""
    seeded = random.Random("edil vectors")

    def drawn(count, digits):
        reach = (256**digits - 1) // 255
        return [seeded.randint(-127 * reach, 127 * reach) for _ in range(count)]

    yield "nothing but the checks", 1024, 2, [], 1, 1
    yield "one holder, an embedding", 1024, 1, drawn(16, 1), 1, 1
    yield "moments of 16 values", 1024, 2, drawn(152, 3), 3, 8
    yield "every coefficient in use", 1024, 2, drawn(1022, 1), 1, 255
    yield "largest and smallest of one digit", 1024, 3, [127, -128, 0, -1, 1] * 20, 1, 255
    yield "largest and smallest of two digits", 1024, 4, [32639, -32896, 128, -129, 127, -128] * 20, 2, 255
    yield "largest and smallest of three digits", 1024, 2, [8355711, -8421504, 32768, -32769] * 20, 3, 1
    yield "largest and smallest of four digits", 1024, 2, [2139062143, -(2**31), 8388608, -8388609] * 20, 4, 1
    yield "zeros", 1024, 2, [0] * 100, 3, 1
    yield "an a_key that draws q itself", 1024, 2, drawn(10, 1), 1, 1
    yield "2048", 2048, 2, drawn(560, 3), 3, 8
    yield "2048, four holders", 2048, 4, drawn(100, 2), 2, 255
    yield "4096", 4096, 2, drawn(100, 4), 4, 8
    yield "4096, four holders", 4096, 4, drawn(100, 2), 2, 255


def make_vectors():
    """What tests/vectors/edil.json holds."""
    found = []
    for name, ring, holders, values, digits, count in _cases():
        *keys, a_key, noise = (hashlib.sha256(f"{name} {index}".encode()).digest() for index in range(holders + 2))
        a_key = hashlib.sha256(_DRAWS_Q.encode()).digest() if "draws q" in name else a_key
        packed = encrypt(ring, keys, a_key, noise, values, digits, count)
        vector = {
            "name": name,
            "ring": ring,
            "s_keys": b"".join(keys).hex(),
            "a_key": a_key.hex(),
            "noise": noise.hex(),
        }
        vector |= {"values": values, "digits": digits, "count": count}
        vector |= {
            "begins": packed[:16].hex(),
            "ends": packed[-16:].hex(),
            "sha256": hashlib.sha256(packed).hexdigest(),
        }
        found.append(vector)
    about = "EDIL.md: ciphertexts. Bytes are hex; begins and ends are 16 bytes of the ciphertext, sha256 is its digest."
    return {"about": about, "ciphertexts": found}


def to_text(vectors) -> str:
    """One line a vector."""
    lines = ",\n".join("  " + json.dumps(vector) for vector in vectors["ciphertexts"])
    return f'{{\n "about": {json.dumps(vectors["about"])},\n "ciphertexts": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    print(to_text(make_vectors()), end="")
