"""What rounds sum: where each value stands, and that nothing is asked for that could overflow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import rounds, statistics
from device.agent.errors import WireError
from device.native import edil
from tests.edil_bench import manifest

SMALL = {"width": 3, "windows": 5, "digits": 3}


def asked(**fields):
    return rounds.open_manifest(manifest(**fields))[0]


@pytest.mark.parametrize(
    "fields, values",
    [
        ({"width": 16}, 152),
        ({"width": 1}, 2),
        ({"width": 3, "kind": rounds.CLASSES, "classes": 4}, 9 + 4 + 12),
        ({"width": 3, "kind": rounds.DECODER, "rows": 5}, 9 + 5 + 15),
        ({"width": 3, "kind": rounds.INFERENCE}, 3),
        ({"width": 3, "kind": rounds.VECTOR, "rows": 1000}, 1000),
    ],
)
def test_a_kind_has_so_many_values(fields, values):
    assert statistics.count_values(asked(**fields)) == values


@pytest.mark.parametrize("digits, largest", [(1, 127), (2, 127 * 257), (3, 127 * 65793), (4, 127 * 16843009)])
def test_the_largest_value_of_so_many_digits_is_the_one_that_encryption_takes(digits, largest):
    work = bytearray(4096)
    for sign in (1, -1):
        edil.encrypt(1024, bytes(32), bytes(32), bytes(32), np.array([sign * largest], np.int32), digits, 1, work)
    assert statistics.largest(digits) == largest
    if digits < 4:
        with pytest.raises(ValueError):
            edil.encrypt(1024, bytes(32), bytes(32), bytes(32), np.array([largest + 1], np.int32), digits, 1, work)


FITS = [
    ({"width": 1, "ring": 1024, "digits": 4, "windows": 255}, {"digits": 1}),
    ({"width": 24, "digits": 3}, {"width": 25}),  # 324 and 350 values of three digits; the ring has 1022 places
    ({"clip": 127, "windows": 2, "digits": 2}, {"windows": 3}),  # 32258 and 48387 of 32639
    ({"clip": 11, "windows": 1, "digits": 1, "width": 2}, {"clip": 12}),
    ({"kind": rounds.CLASSES, "classes": 1}, {"classes": 0}),
    ({"kind": rounds.CLASSES, "classes": 1}, {"rows": 1}),
    ({"kind": rounds.DECODER, "rows": 1, "width": 2}, {"rows": 0}),
    ({"kind": rounds.DECODER, "rows": 1, "width": 2}, {"classes": 1}),
    ({"kind": rounds.VECTOR, "rows": 1022, "digits": 1}, {"rows": 1023}),
    ({"kind": rounds.VECTOR, "rows": 255, "digits": 4}, {"rows": 256}),
    ({"kind": rounds.INFERENCE, "digits": 1}, {"digits": 2}),
    ({"kind": rounds.INFERENCE, "digits": 1}, {"rows": 1}),
    ({"kind": rounds.MOMENTS}, {"classes": 1}),
]


@pytest.mark.parametrize("good, change", FITS)
def test_what_just_fits_is_taken_and_what_just_does_not_is_refused(good, change):
    fields = SMALL | good

    statistics.check_fits(asked(**fields))
    with pytest.raises(WireError, match="got .* wanted"):
        statistics.check_fits(asked(**(fields | change)))


INT8 = st.integers(-128, 127)
WINDOW = st.tuples(
    st.lists(INT8, min_size=3, max_size=3), st.lists(INT8, min_size=8, max_size=8), st.integers(0, 1)
)  # embedding, window, label


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.sampled_from([rounds.MOMENTS, rounds.CLASSES, rounds.DECODER]),
    st.integers(1, 127),
    st.lists(WINDOW, min_size=1, max_size=5),
)
def test_sums_of_windows_are_those_of_numpy(kind, clip, windows):
    of_kind = {rounds.CLASSES: {"classes": 2}, rounds.DECODER: {"first_row": 2, "rows": 4}}
    wanted = asked(**SMALL, kind=kind, clip=clip, **of_kind.get(kind, {}))
    sums = np.zeros(statistics.count_values(wanted), np.int32)
    for z, x, label in windows:
        z, x = (bytes(value & 0xFF for value in values) for values in (z, x))
        statistics.add_window(wanted, sums, z, x, label, edil.add_moments)

    z, x = (np.clip([window[part] for window in windows], -clip, clip) for part in (0, 1))
    labels = np.array([window[2] for window in windows])
    products = z.T @ z
    values = [*z.sum(0), *products[np.triu_indices(3)]]
    if kind == rounds.CLASSES:
        values += [*np.bincount(labels, minlength=2), *z[labels == 0].sum(0), *z[labels == 1].sum(0)]
    if kind == rounds.DECODER:
        values += [*x[:, 2:6].sum(0), *(x[:, 2:6].T @ z).reshape(-1)]
    assert sums.tolist() == [int(value) for value in values]


def test_an_embedding_alone_is_held_to_the_clip():
    sums = np.zeros(3, np.int32)

    statistics.add_window(asked(**SMALL, kind=rounds.INFERENCE, clip=100), sums, b"\x80\x7f\x05", b"", None, None)

    assert sums.tolist() == [-100, 100, 5]
