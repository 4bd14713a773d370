"""EDIL's encryption for CPython, and what gateway, share-holders and data owner compute beside it; keeps no key.

The same C as in the firmware, by ctypes, so the same bytes (EDIL.md, sections 1 and 4). Polynomials are contiguous
buffers of the machine's byte order, `ring` coefficients long: bytes, bytearray, array or numpy array. Buffers are
checked here, and only here, before C sees them; after an error none has changed.

Units: a key is 32 bytes; residues are u32 of 0..q-1; secrets are int32, sums of small(key).
"""

import ctypes
import functools

from .shared import load_shared

KEY_BYTES = 32
MODULI = {1024: 132120577, 2048: 132120577, 4096: 1073692673}  # q by ring
CIPHERTEXT_BYTES = {ring: ring * q.bit_length() // 8 for ring, q in MODULI.items()}
HOLDERS_MAX = 4
DIGITS_MAX = 4
COUNT_MAX = 255
CLIP_MAX = 127
WEIGHT_MAX = 2**16  # of a sum: 2^16 * 42 stays far below 2^31


class _Message(ctypes.Structure):
    _fields_ = [
        ("s_keys", ctypes.c_char_p),
        ("holders", ctypes.c_uint32),
        ("a_key", ctypes.c_char_p),
        ("noise", ctypes.c_char_p),
        ("values", ctypes.c_char_p),
        ("n", ctypes.c_size_t),
        ("digits", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
    ]


@functools.cache
def _library():
    library = load_shared()
    pointer, size, u32 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    for name, result, arguments in (
        ("fits", ctypes.c_bool, (ctypes.c_char_p, size, u32)),
        ("encrypt", size, (u32, pointer, pointer)),
        ("moments", size, (size, size)),
        ("add_moments", None, (pointer, ctypes.c_char_p, size, ctypes.c_char_p, size, ctypes.c_int32)),
        ("add_small", None, (ctypes.c_char_p, ctypes.c_int32, pointer, u32)),
        ("product", ctypes.c_bool, (u32, ctypes.c_char_p, pointer)),
        ("pack", None, (pointer, u32, u32)),
        ("find_big", u32, (u32, ctypes.c_char_p)),
        ("unpack", u32, (u32, ctypes.c_char_p, pointer)),
        ("add_packed", u32, (u32, ctypes.c_char_p, pointer, u32)),
    ):
        function = getattr(library, f"ren_edil_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def encrypt(ring: int, s_keys, a_key, noise, values, digits: int, count: int, work) -> int:
    """Encrypt a vector of sums; the packed ciphertext is the first bytes of work, the rest of it zeros.

    Args:
        ring: N, one of MODULI.
        s_keys: 32 bytes for each of 1..4 share-holders.
        a_key, noise: 32 bytes; noise fresh, used for nothing else.
        values: int32 (array('i') or its bytes), each carried by `digits`; len * digits <= ring - 2.
        digits: 1..4. count: of windows, 1..255.
        work: 4 * ring bytes, writable, overwritten.

    Returns:
        CIPHERTEXT_BYTES[ring].

    Raises:
        ValueError: a size, a number or a value that does not fit; work is unchanged.
    """
    _check_ring(ring)
    s_keys = memoryview(s_keys).tobytes()
    if len(s_keys) not in range(KEY_BYTES, KEY_BYTES * HOLDERS_MAX + 1, KEY_BYTES):
        raise ValueError(f"s_keys: got {len(s_keys)} bytes, wanted 32 for each of 1..4 holders")
    a_key, noise = _key(a_key, "a_key"), _key(noise, "noise")
    values = _int32(values, "values")
    n = len(values) // 4
    _check_int(digits, "digits", 1, DIGITS_MAX)
    _check_int(count, "count", 1, COUNT_MAX)
    if n > (ring - 2) // digits:
        raise ValueError(f"values: got {n}, wanted at most {(ring - 2) // digits}")
    if not _library().ren_edil_fits(values, n, digits):
        raise ValueError(f"values: got one beyond what {digits} digits carry")
    target = _target(work, "work", 4 * ring)
    message = _Message(s_keys, len(s_keys) // KEY_BYTES, a_key, noise, values, n, digits, count)
    return _library().ren_edil_encrypt(ring, ctypes.byref(message), target)


def add_moments(sums, z, x, clip: int):
    """Add one window's statistics to sums, in the order of EDIL.md, section 4.

    Args:
        sums: int32 (array('i')), changed: sum of z_i; of z_i z_j for i <= j; if x is not empty, sum of x_r; of x_r z_j.
        z, x: int8[width], width > 0, and int8[rows]; held to -clip..clip.
        clip: 1..127.
    Raises:
        ValueError: len(sums) is not what width and rows make, z is empty, or clip is out of range; sums are unchanged.
    """
    z, x = memoryview(z).tobytes(), memoryview(x).tobytes()
    _check_int(clip, "clip", 1, CLIP_MAX)
    if not z:
        raise ValueError("z: got no values, wanted an embedding")
    target = _target(sums, "sums", 4 * _library().ren_edil_moments(len(z), len(x)))
    _library().ren_edil_add_moments(target, z, len(z), x, len(x), clip)


def secret(ring: int, s_keys, weights=None) -> bytes:
    """Sum of small(key) over any number of keys (32 bytes each, joined), each with its weight -> int32[ring].

    Raises:
        ValueError: no such ring, a size that does not fit, a weight below 1, or weights of more than 65536 in all.
    """
    _check_ring(ring)
    s_keys = memoryview(s_keys).tobytes()
    count, rest = divmod(len(s_keys), KEY_BYTES)
    weights = [1] * count if weights is None else list(weights)
    if rest or len(weights) != count:
        raise ValueError(f"s_keys: got {len(s_keys)} bytes for {len(weights)} weights, wanted 32 for each")
    if any(weight < 1 for weight in weights) or sum(weights) > WEIGHT_MAX:
        raise ValueError(f"weights: got a sum of {sum(weights)}, wanted each from 1, all at most {WEIGHT_MAX}")
    total = ctypes.create_string_buffer(4 * ring)
    for index, weight in enumerate(weights):
        _library().ren_edil_add_small(s_keys[KEY_BYTES * index :][:KEY_BYTES], weight, total, ring)
    return total.raw


def product(ring: int, a_key, s) -> bytes:
    """a * s modulo q, a = uniform(a_key), s int32[ring] -> residues, u32[ring].

    Raises:
        ValueError: a size, or a coefficient of s is not in -2^24..2^24-1, as secrets and their sums are.
    """
    _check_ring(ring)
    s = _int32(s, "s")
    if len(s) != 4 * ring:
        raise ValueError(f"s: got {len(s)} bytes, wanted {4 * ring}")
    target = ctypes.create_string_buffer(s, 4 * ring)
    if not _library().ren_edil_product(ring, _key(a_key, "a_key"), target):
        raise ValueError("s: got a coefficient beyond what secrets have, wanted -2^24..2^24-1")
    return target.raw


def uniform(ring: int, a_key) -> bytes:
    """The polynomial a of a key, its coefficients and not its NTT values -> residues, u32[ring]."""
    _check_ring(ring)
    return product(ring, a_key, (1).to_bytes(4, "little") + bytes(4 * ring - 4))


def pack(ring: int, residues) -> bytes:
    """Residues (u32[ring]) as a ciphertext's bytes. Raises ValueError: a size, or the first residue of q or more."""
    _check_ring(ring)
    residues = _int32(residues, "residues")
    if len(residues) != 4 * ring:
        raise ValueError(f"residues: got {len(residues)} bytes, wanted {4 * ring}")
    place = _library().ren_edil_find_big(ring, residues)
    _check_place(ring, place)
    target = ctypes.create_string_buffer(residues, 4 * ring)
    _library().ren_edil_pack(target, ring, MODULI[ring].bit_length())
    return target.raw[: CIPHERTEXT_BYTES[ring]]


def unpack(ring: int, packed) -> bytes:
    """A ciphertext's residues, u32[ring]. Raises ValueError: a size, or the first residue of q or more."""
    packed = _packed(ring, packed)
    residues = ctypes.create_string_buffer(4 * ring)
    _check_place(ring, _library().ren_edil_unpack(ring, packed, residues))
    return residues.raw


def add_packed(ring: int, packed, sums, weight: int = 1):
    """Add a ciphertext's residues, each times weight, to sums: u64[ring] (numpy uint64 or array('Q')), changed.

    Sums stay exact for weights that add up to 2^32 and more; reduce them modulo q to pack them.

    Raises:
        ValueError: a size, weight is not 1..65536, or the first residue that is not below q; sums are unchanged.
    """
    packed = _packed(ring, packed)
    _check_int(weight, "weight", 1, WEIGHT_MAX)
    _check_place(ring, _library().ren_edil_add_packed(ring, packed, _target(sums, "sums", 8 * ring), weight))


def _check_ring(ring):
    if ring not in MODULI:
        raise ValueError(f"ring: got {ring}, wanted 1024, 2048 or 4096")


def _check_int(value, field, least, most):
    if not least <= value <= most:
        raise ValueError(f"{field}: got {value}, wanted {least}..{most}")


def _check_place(ring, place):
    if place != ring:
        raise ValueError(f"residue {place}: got q or more, wanted less than {MODULI[ring]}")


def _key(key, field):
    key = memoryview(key).tobytes()
    if len(key) != KEY_BYTES:
        raise ValueError(f"{field}: got {len(key)} bytes, wanted 32")
    return key


def _packed(ring, packed):
    _check_ring(ring)
    packed = memoryview(packed).tobytes()
    if len(packed) != CIPHERTEXT_BYTES[ring]:
        raise ValueError(f"ciphertext: got {len(packed)} bytes, wanted {CIPHERTEXT_BYTES[ring]}")
    return packed


def _int32(values, field):
    """Bytes of a buffer of 32-bit numbers, or of bytes that hold them."""
    view = memoryview(values)
    if view.itemsize not in (1, 4) or view.nbytes % 4 or view.format in "?f":
        raise ValueError(f"{field}: got no 32-bit integers, wanted array('i')")
    return view.tobytes()


def _target(buffer, field, size):
    """The memory of a caller's writable buffer of exactly `size` bytes."""
    view = memoryview(buffer)
    if view.nbytes != size:
        raise ValueError(f"{field}: got {view.nbytes} bytes, wanted {size}")
    return (ctypes.c_char * size).from_buffer(view.cast("B"))
