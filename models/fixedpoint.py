"""gemmlowp's 32-bit fixed point in Python integers, for the tables that the compiler makes; it knows no tensor.

A value in Qn.m is an integer of n + m + 1 bits. Each function gives the bits that TFLite's reference kernels get.
Source: gemmlowp fixedpoint/fixedpoint.h; TFLite kernels/internal/{common,quantization_util}.
"""

import math

ONE = (1 << 31) - 1  # in Q0.31
EXP_STEPS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # exp(-2^k), k = -2..4, Q0.31


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real ~ multiplier * 2^(shift - 31), as TFLite's QuantizeMultiplier."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul."""
    return ONE if a == b == -1 << 31 else (a * b + (1 << 30)) >> 31


def rounding_shift(value: int, bits: int) -> int:
    """RoundingDivideByPOT: value / 2^bits, ties away from zero."""
    mask = (1 << bits) - 1
    return (value >> bits) + ((value & mask) > (mask >> 1) + (value < 0))


def saturating_shift(value: int, bits: int) -> int:
    """value * 2^bits in 32 bits."""
    return max(-1 << 31, min(ONE, value << bits))


def scale(value: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier: value * multiplier * 2^(shift - 31), rounded twice."""
    return rounding_shift(high_mul(value << max(shift, 0), multiplier), max(-shift, 0))


def input_radius(integer_bits: int, left_shift: int) -> int:
    """CalculateInputRadius: inputs from here on saturate."""
    return math.floor(((1 << integer_bits) - 1) * float(1 << (31 - integer_bits)) / math.ldexp(1.0, left_shift))


def exp_on_negative_values(value: int, integer_bits: int) -> int:
    """exp of a value <= 0 in Q[integer_bits], in Q0.31."""
    if value == 0:
        return ONE
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    residue = (value & (quarter - 1)) - quarter
    result = _exp_from_minus_quarter(saturating_shift(residue, integer_bits))
    for power, factor in zip(range(-2, 5), EXP_STEPS, strict=True):
        if integer_bits > power and (residue - value) & (1 << (fraction_bits + power)):
            result = high_mul(result, factor)
    return result


def _exp_from_minus_quarter(value: int) -> int:
    """exp of a value in [-1/4, 0), both Q0.31: Taylor's series around -1/8."""
    x = value + (1 << 28)
    x2 = high_mul(x, x)
    x3, x4 = high_mul(x2, x), high_mul(x2, x2)
    rest = rounding_shift(high_mul(rounding_shift(x4, 2) + x3, 715827883) + x2, 1)
    return 1895147668 + high_mul(1895147668, x + rest)


def _newton(value: int) -> int:
    """2 / (1 + value) in Q2.29 for a value in (0, 1) in Q0.31."""
    total = value + ONE
    half = (total + 1) // 2
    result = 1515870810 + high_mul(half, -1010580540)
    for _ in range(3):
        rest = (1 << 29) - high_mul(half, result)
        result += saturating_shift(high_mul(result, rest), 2)
    return result


def logistic(value: int, integer_bits: int) -> int:
    """1 / (1 + exp(-value)), value in Q[integer_bits], result in Q0.31."""
    if value == 0:
        return 1 << 30
    positive = saturating_shift(_newton(exp_on_negative_values(-abs(value), integer_bits)), 1)
    return positive if value > 0 else ONE - positive


def tanh(value: int, integer_bits: int) -> int:
    """tanh(value), value in Q[integer_bits], result in Q0.31."""
    if value == 0:
        return 0
    positive = saturating_shift(_newton(exp_on_negative_values(-abs(value), integer_bits + 1)) - (1 << 29), 2)
    return positive if value > 0 else -positive
