/* DEPTHWISE with one output channel for each input channel; see int8.h, and int8.c on sums and the zero point. */
#include "int8.h"

#include "int8_block.h"
#include "int8_output.h"

/* One tap of four channels of DEPTHWISE. */
#if REN_DSP
#define DEPTHWISE_STEP(p) do { \
        uint32_t word = ren_word(p), even = ren_even(word), odd = ren_odd(word); \
        word = ren_word(w); \
        uint32_t pair = ren_even(word); \
        a = ren_smlabb(even, pair, a), c = ren_smlatt(even, pair, c); \
        pair = ren_odd(word); \
        b = ren_smlabb(odd, pair, b), d = ren_smlatt(odd, pair, d); \
        w += 4; \
} while (0)
#else
#define DEPTHWISE_STEP(p) do { \
        const int8_t *q = (p); \
        REN_MAC(a, q[0], w[0]); REN_MAC(b, q[1], w[1]); REN_MAC(c, q[2], w[2]); REN_MAC(d, q[3], w[3]); \
        w += 4; \
} while (0)
#endif

/* Four channels of the patch at x, rows * width of them; its rows lie `down` apart, its columns `right`. */
static REN_NOINLINE void depthwise_four(int32_t rows, int32_t width, const int8_t *x, int32_t down, int32_t right,
    const int8_t *w, int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (; rows > 0; rows--, x += down) {
        const int8_t *p = x;
        for (int32_t columns = width; columns > 0; columns--, p += right) {
            DEPTHWISE_STEP(p);
        }
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
}

#define DEPTHWISE_ROW(x) do { \
        DEPTHWISE_STEP(x); \
        DEPTHWISE_STEP((x) + right); \
        DEPTHWISE_STEP((x) + 2 * right); \
} while (0)

/* The same for the kernel that most models have, 3 x 3. */
static REN_NOINLINE void depthwise_nine(const int8_t *x, int32_t down, int32_t right, const int8_t *w, int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    DEPTHWISE_ROW(x);
    x += down;
    DEPTHWISE_ROW(x);
    x += down;
    DEPTHWISE_ROW(x);
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
}

/* One channel; its weights are 4 apart. */
static int32_t depthwise_one(const ren_layer *l, const int8_t *x, int32_t down, int32_t right, const int8_t *w) {
    int32_t sum = 0;
    for (int32_t rows = l->kernel_h; rows > 0; rows--, x += down) {
        const int8_t *p = x;
        for (int32_t columns = l->kernel_w; columns > 0; columns--, p += right, w += 4) {
            sum += (int32_t)*p * *w;
        }
    }
    return sum;
}

/* Outputs of all channels of the patch at x; its rows lie `down` apart, its columns `right`. */
static void depthwise_pixel(const ren_layer *l, const int8_t *x, int32_t down, int32_t right, int8_t *out) {
    const int8_t *w = l->weights;
    const uint8_t *table = l->table;
    int32_t rows = l->kernel_h, width = l->kernel_w, taps = rows * width, left = l->out_c;
    int32_t twice_zero = 2 * l->out_zero + 1, quick = is_quick(l), nine = rows == 3 && width == 3;
    if (width == 1) { /* one row of them, for one loop fewer */
        width = rows, rows = 1, right = down;
    }
    for (; left > 3; left -= 4, x += 4, w += 4 * taps, table += 4 * REN_CHANNEL_BYTES, out += 4) {
        int32_t sum[4];
        if (nine) {
            depthwise_nine(x, down, right, w, sum);
        } else {
            depthwise_four(rows, width, x, down, right, w, sum);
        }
        store_four(l, quick, twice_zero, table, sum, left, out);
    }
    for (; left > 0; left--, x++, w++, table += REN_CHANNEL_BYTES, out++) {
        store1(l, quick, twice_zero, table, depthwise_one(l, x, down, right, w), out);
    }
}

void ren_int8_depthwise(const ren_layer *l, const int8_t *in, int8_t *out, int8_t *column) {
    int32_t row = l->in_w * l->in_c;
    for (int32_t oy = 0; oy < l->out_h; oy++) {
        int32_t y = oy * l->stride_h - l->pad_top;
        for (int32_t ox = 0; ox < l->out_w; ox++, out += l->out_c) {
            int32_t x = ox * l->stride_w - l->pad_left;
            const int8_t *patch;
            int32_t down, right;
            if (is_inside(l, y, x)) {
                patch = in + y * row + x * l->in_c;
                down = l->dilation_h * row, right = l->dilation_w * l->in_c;
            } else {
                patch = ren_copy_patch(l, in, y, x, column);
                down = l->kernel_w * l->in_c, right = l->in_c;
            }
            depthwise_pixel(l, patch, down, right, out);
        }
    }
}
