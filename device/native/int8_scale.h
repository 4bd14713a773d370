/* What the int8 kernels share: reading constants, and gemmlowp's fixed-point scaling, which rounds twice. */
#ifndef REN_INT8_SCALE_H
#define REN_INT8_SCALE_H

#include <stdint.h>
#include <string.h>

/* A firmware is built for size; these loops are for speed, with loads where they are written: moved ahead of their
 * products they do not fit the registers. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#if defined(__GNUC__)
#define REN_NOINLINE __attribute__((noinline)) /* so that a loop has the registers for itself */
#else
#define REN_NOINLINE
#endif

/* Whether ren_load_word may be used at p. */
static inline int ren_is_word(const uint8_t *p) {
#if !defined(__GNUC__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    (void)p;
    return 0;
#elif defined(__ARM_FEATURE_UNALIGNED)
    (void)p;
    return 1;
#else
    return ((uintptr_t)p & 3) == 0;
#endif
}

static inline int32_t ren_load_word(const uint8_t *p) {
    int32_t value;
#if defined(__GNUC__) && !defined(__ARM_FEATURE_UNALIGNED)
    p = __builtin_assume_aligned(p, 4);
#endif
    memcpy(&value, p, 4);
    return value;
}

static inline int32_t ren_load_i32(const uint8_t *p) {
    if (ren_is_word(p)) {
        return ren_load_word(p);
    }
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* SaturatingRoundingDoublingHighMul for |a| < 2^30 and b >= 0: (a * b + 2^30) >> 31. */
static inline int32_t ren_narrow_srdhm(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_6M__)
    /* No 64-bit product: a in pieces of 15 bits, b of 16, so that no sum leaves 32. ASRS leaves in the carry what
     * rounds. */
    uint32_t a1 = (uint32_t)(a >> 15), a0 = (uint32_t)a & 0x7FFF, b1 = (uint32_t)b >> 16, b0 = (uint16_t)b;
    int32_t result = (int32_t)((uint32_t)((int32_t)(a1 * b0 + (a0 * b0 >> 15)) >> 1) + a0 * b1);
    __asm__(".syntax unified\n\tasrs %0, %0, #15\n\tadcs %0, %1" : "+l"(result) : "l"(a1 * b1) : "cc");
    return result;
#else
    int64_t product = (int64_t)(int32_t)((uint32_t)a << 1) * b; /* the high word, and the carry of the low one */
    return (int32_t)(product >> 32) + (int32_t)((uint32_t)product >> 31);
#endif
}

/* SaturatingRoundingDoublingHighMul for b >= 0, where nothing saturates. */
static inline int32_t ren_srdhm(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* RoundingDivideByPOT, ties away from zero; 0 <= n <= 31. */
static inline int32_t ren_rounding_shift(int32_t a, int32_t n) {
    if (n == 0) {
        return a;
    }
    int32_t doubled = (a + (a >> 31)) >> (n - 1); /* a > INT32_MIN, as ren_srdhm gives it */
    return (doubled >> 1) + (doubled & 1);
}

/* MultiplyByQuantizedMultiplier: sum * multiplier * 2^(shift - 31); the multiplier is not negative, so that the high
 * word is never INT32_MIN and no step overflows. */
static inline int32_t ren_scale(uint32_t sum, int32_t multiplier, int32_t shift) {
    if (shift > 0) {
        return ren_srdhm((int32_t)(sum << shift), multiplier);
    }
    return ren_rounding_shift(ren_srdhm((int32_t)sum, multiplier), -shift);
}

/* value >> 1, clamped to an int8. */
static inline int32_t ren_half_saturated(int32_t value) {
#if defined(__ARM_FEATURE_SAT)
    int32_t result;
    __asm__("ssat %0, #8, %1, asr #1" : "=r"(result) : "r"(value) : "cc");
    return result;
#else
    value >>= 1;
    return (uint32_t)value + 128 < 256 ? value : (value >> 31) ^ 127;
#endif
}

static inline int32_t ren_clamp(int32_t value, int32_t low, int32_t high) {
    value = value < low ? low : value;
    return value > high ? high : value;
}

/* ren_scale, the output's zero point and its clamp. */
static inline int8_t ren_output(uint32_t sum, int32_t multiplier, int32_t shift, int32_t zero, int32_t low,
    int32_t high) {
    return (int8_t)ren_clamp((int32_t)((uint32_t)ren_scale(sum, multiplier, shift) + (uint32_t)zero), low, high);
}

#endif
