/* The innermost loops of CONV: sums of a few channels over one or two patches. Weights come in fours of taps for fours
 * of channels, [quad][channel][4 taps]; the number of quads is even. With SMLAD a patch is expanded once, each four
 * bytes into the pairs (0, 2) and (1, 3) of 16 bits that SXTB16 makes; the weights' words are expanded alike when
 * used, so nothing needs another order. Without it the same weights are read byte by byte, and so is the patch. */
#ifndef REN_INT8_BLOCK_H
#define REN_INT8_BLOCK_H

#include "int8_scale.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__ARM_FEATURE_UNALIGNED)
#define REN_DSP 1

static inline uint32_t ren_word(const int8_t *p) {
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

static inline uint32_t ren_even(uint32_t word) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}

static inline uint32_t ren_odd(uint32_t word) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

#define REN_DUAL(name) \
    static inline int32_t ren_##name(uint32_t a, uint32_t b, int32_t sum) { \
        int32_t result; \
        __asm__(#name " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum)); \
        return result; \
    }
REN_DUAL(smlad)
REN_DUAL(smlabb)
REN_DUAL(smlatt)

typedef uint32_t ren_tap; /* half a quad of taps */

/* taps bytes as pairs, step words from quad to quad; the patch may lie in the second half of `pairs` if step is 2. */
static inline void ren_expand(const int8_t *patch, int32_t taps, ren_tap *pairs, int32_t step) {
    for (const int8_t *end = patch + taps; patch != end; patch += 4, pairs += step) {
        uint32_t word = ren_word(patch);
        pairs[0] = ren_even(word), pairs[1] = ren_odd(word);
    }
}

#define REN_STEP1(sum, c) do { \
        uint32_t word = ren_word(w + 4 * (c)); \
        (sum) = ren_smlad(ren_even(word), even, sum), (sum) = ren_smlad(ren_odd(word), odd, sum); \
} while (0)

/* Four channels over one patch. */
static inline void ren_dot41(const ren_tap *x, int32_t step, const int8_t *w, int32_t taps, int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (const int8_t *end = w + 4 * taps; w != end; w += 16, x += step) {
        uint32_t even = x[0], odd = x[1];
        REN_STEP1(a, 0);
        REN_STEP1(b, 1);
        REN_STEP1(c, 2);
        REN_STEP1(d, 3);
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
}

/* Two channels of a four over two patches, whose quads take turns in x, so that one LDM loads four pairs; x is at a
 * multiple of 4. sum[0..1], sum[2..3]. */
static inline void ren_dot22(const ren_tap *x, const int8_t *w, int32_t taps, int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (const ren_tap *end = x + taps; x != end; ) {
#define REN_STEP22(i) do { \
        register uint32_t even __asm__("r4"), odd __asm__("r5"), even_y __asm__("r6"), odd_y __asm__("r7"); \
        __asm__("ldmia %0!, {%1, %2, %3, %4}" \
            : "+r"(x), "=r"(even), "=r"(odd), "=r"(even_y), "=r"(odd_y) : "m"(*(const ren_tap (*)[4])x)); \
        uint32_t word = ren_word(w + 16 * (i)), pair = ren_even(word); \
        a = ren_smlad(pair, even, a), c = ren_smlad(pair, even_y, c); \
        pair = ren_odd(word); \
        a = ren_smlad(pair, odd, a), c = ren_smlad(pair, odd_y, c); \
        word = ren_word(w + 16 * (i) + 4), pair = ren_even(word); \
        b = ren_smlad(pair, even, b), d = ren_smlad(pair, even_y, d); \
        pair = ren_odd(word); \
        b = ren_smlad(pair, odd, b), d = ren_smlad(pair, odd_y, d); \
} while (0)
        REN_STEP22(0);
        REN_STEP22(1);
        w += 32;
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
}

#else

typedef int8_t ren_tap;

#if defined(__ARM_ARCH_6M__)
/* Sums in the lower eight registers, which a compiler left alone does not keep there. */
#define REN_MAC(sum, x, w) do { \
        int32_t product = (w); \
        __asm__(".syntax unified\n\tmuls %1, %2, %1\n\tadds %0, %0, %1" \
            : "+l"(sum), "+l"(product) : "l"((int32_t)(x)) : "cc"); \
} while (0)
#else
#define REN_MAC(sum, x, w) (sum) += (int32_t)(x) * (int32_t)(w)
#endif

#define REN_STEP41(i) do { \
        int32_t xi = x[i]; \
        const int8_t *wi = w + 16 * ((i) / 4) + (i) % 4; \
        REN_MAC(a, xi, wi[0]); REN_MAC(b, xi, wi[4]); REN_MAC(c, xi, wi[8]); REN_MAC(d, xi, wi[12]); \
} while (0)

static inline void ren_dot41(const ren_tap *x, int32_t step, const int8_t *w, int32_t taps, int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    (void)step;
    for (const int8_t *end = x + taps; x != end; x += 8, w += 32) {
        REN_STEP41(0);
        REN_STEP41(1);
        REN_STEP41(2);
        REN_STEP41(3);
        REN_STEP41(4);
        REN_STEP41(5);
        REN_STEP41(6);
        REN_STEP41(7);
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
}

/* Four channels over two patches: sum[0..3], sum[4..7]. */
#define REN_STEP42(i) do { \
        const int8_t *at = w + 16 * ((i) / 4) + (i) % 4; \
        int32_t xi = x[i], yi = y[i], wi = at[0]; \
        REN_MAC(a, xi, wi); REN_MAC(e, yi, wi); \
        wi = at[4]; \
        REN_MAC(b, xi, wi); REN_MAC(f, yi, wi); \
        wi = at[8]; \
        REN_MAC(c, xi, wi); REN_MAC(g, yi, wi); \
        wi = at[12]; \
        REN_MAC(d, xi, wi); REN_MAC(h, yi, wi); \
} while (0)

static inline void ren_dot42(const int8_t *x, const int8_t *y, const int8_t *w, int32_t taps, int32_t sum[8]) {
    int32_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
    for (const int8_t *end = x + taps; x != end; x += 8, y += 8, w += 32) {
        REN_STEP42(0);
        REN_STEP42(1);
        REN_STEP42(2);
        REN_STEP42(3);
        REN_STEP42(4);
        REN_STEP42(5);
        REN_STEP42(6);
        REN_STEP42(7);
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d, sum[4] = e, sum[5] = f, sum[6] = g, sum[7] = h;
}
#endif

#endif
