/* See int8.h. The inner loops take four output channels at once, so that each input byte is loaded once for four
 * products; the input's zero point is folded into the bias, so a product needs no subtraction and padding is the
 * zero point itself. Sums are signed, which keeps compilers from regrouping them, and at most REN_TAPS_MAX products
 * long, so they cannot overflow; the bias is added modulo 2^32, as the reference's sums would wrap. */
#include "int8.h"

#include <string.h>

/* A firmware is built for size; these loops are for speed, with loads where they are written: moved ahead of their
 * products they do not fit the registers. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#define MAC(sum, x, w) (sum) += (int32_t)(x) * (int32_t)(w)

static inline int32_t load_i32(const uint8_t *p) {
    return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* gemmlowp's RoundingDivideByPOT(SaturatingRoundingDoublingHighMul(sum << left, multiplier), right), ties away from
 * zero. The one case that saturates needs a negative multiplier, which ren_model_check refuses; so high is never
 * INT32_MIN, and no step below overflows. */
static inline int32_t scale(uint32_t sum, int32_t multiplier, int32_t shift) {
    if (shift > 0) {
        return (int32_t)(((int64_t)(int32_t)(sum << shift) * multiplier + (1 << 30)) >> 31);
    }
    int32_t high = (int32_t)(((int64_t)(int32_t)sum * multiplier + (1 << 30)) >> 31);
    if (shift >= 0) {
        return high;
    }
    int32_t doubled = (high + (high >> 31)) >> (-shift - 1);
    return (doubled >> 1) + (doubled & 1);
}

/* The outputs of n channels from their sums. */
static void requantize(const ren_layer *l, const uint8_t *channel, const int32_t *sum, int32_t n, int8_t *out) {
    int32_t zero = l->out_zero, low = l->act_min, high = l->act_max;
    for (const int8_t *end = out + n; out != end; out++, sum++, channel += REN_CHANNEL_BYTES) {
        uint32_t biased = (uint32_t)*sum + (uint32_t)load_i32(channel);
        int32_t shift = (int8_t)channel[8]; /* -31..30: its low byte says all of it */
        int32_t y = (int32_t)((uint32_t)scale(biased, load_i32(channel + 4), shift) + (uint32_t)zero);
        if (y < low) {
            y = low;
        }
        if (y > high) {
            y = high;
        }
        *out = (int8_t)y;
    }
}

/* The patch under the kernel at (y, x) as [kernel_h][kernel_w][in_c]: in place if it lies so, else copied to column. */
static const int8_t *patch(const ren_layer *l, const int8_t *in, int32_t y, int32_t x, int8_t *column) {
    int32_t span_h = (l->kernel_h - 1) * l->dilation_h + 1, span_w = (l->kernel_w - 1) * l->dilation_w + 1;
    int inside = y >= 0 && x >= 0 && y + span_h <= l->in_h && x + span_w <= l->in_w;
    int one_row = span_w == l->kernel_w && l->kernel_h == 1;
    int full_rows = span_w == l->kernel_w && l->kernel_w == l->in_w && span_h == l->kernel_h;
    if (inside && (one_row || full_rows)) {
        return in + (y * l->in_w + x) * l->in_c;
    }
    int8_t *p = column;
    for (int32_t ky = 0; ky < l->kernel_h; ky++) {
        int32_t row = y + ky * l->dilation_h;
        for (int32_t kx = 0; kx < l->kernel_w; kx++, p += l->in_c) {
            int32_t col = x + kx * l->dilation_w;
            if (row >= 0 && row < l->in_h && col >= 0 && col < l->in_w) {
                memcpy(p, in + (row * l->in_w + col) * l->in_c, (size_t)l->in_c);
            } else {
                memset(p, l->in_zero, (size_t)l->in_c);
            }
        }
    }
    return column;
}

#define CONV_STEP(i) do { \
        int32_t xi = x[i]; \
        MAC(a, xi, w[4 * (i)]); MAC(b, xi, w[4 * (i) + 1]); MAC(c, xi, w[4 * (i) + 2]); MAC(d, xi, w[4 * (i) + 3]); \
} while (0)

static void conv4(const int8_t *x, const int8_t *w, int32_t taps, int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (const int8_t *end = x + (taps & ~7); x != end; x += 8, w += 32) {
        CONV_STEP(0);
        CONV_STEP(1);
        CONV_STEP(2);
        CONV_STEP(3);
        CONV_STEP(4);
        CONV_STEP(5);
        CONV_STEP(6);
        CONV_STEP(7);
    }
    for (const int8_t *end = x + (taps & 7); x != end; x++, w += 4) {
        CONV_STEP(0);
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
}

/* One channel: x steps by `step` bytes a tap, w by one. */
static int32_t dot(const int8_t *x, int32_t step, const int8_t *w, int32_t taps) {
    int32_t sum = 0;
    for (const int8_t *end = w + taps; w != end; w++, x += step) {
        MAC(sum, *x, *w);
    }
    return sum;
}

static void conv_pixel(const ren_layer *l, const int8_t *x, int32_t taps, int8_t *out) {
    const int8_t *w = l->weights;
    const uint8_t *channel = l->channels;
    int32_t c = 0;
    for (; c + 4 <= l->out_c; c += 4, w += 4 * taps, channel += 4 * REN_CHANNEL_BYTES) {
        int32_t sum[4];
        conv4(x, w, taps, sum);
        requantize(l, channel, sum, 4, out + c);
    }
    for (; c < l->out_c; c++, w += taps, channel += REN_CHANNEL_BYTES) {
        int32_t sum = dot(x, 1, w, taps);
        requantize(l, channel, &sum, 1, out + c);
    }
}

static void depthwise4(const int8_t *x, int32_t step, const int8_t *w, int32_t taps, int32_t sum[4]) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (const int8_t *end = w + 4 * taps; w != end; w += 4, x += step) {
        MAC(a, x[0], w[0]);
        MAC(b, x[1], w[1]);
        MAC(c, x[2], w[2]);
        MAC(d, x[3], w[3]);
    }
    sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d;
}

static void depthwise_pixel(const ren_layer *l, const int8_t *x, int32_t taps, int8_t *out) {
    const int8_t *w = l->weights;
    const uint8_t *channel = l->channels;
    int32_t c = 0;
    for (; c + 4 <= l->out_c; c += 4, w += 4 * taps, channel += 4 * REN_CHANNEL_BYTES) {
        int32_t sum[4];
        depthwise4(x + c, l->in_c, w, taps, sum);
        requantize(l, channel, sum, 4, out + c);
    }
    for (; c < l->out_c; c++, w += taps, channel += REN_CHANNEL_BYTES) {
        int32_t sum = dot(x + c, l->in_c, w, taps);
        requantize(l, channel, &sum, 1, out + c);
    }
}

void ren_int8_conv(const ren_layer *l, const int8_t *in, int8_t *out, int8_t *column) {
    int32_t taps = l->kernel_h * l->kernel_w * l->in_c;
    for (int32_t y = 0; y < l->out_h; y++) {
        for (int32_t x = 0; x < l->out_w; x++, out += l->out_c) {
            const int8_t *p = patch(l, in, y * l->stride_h - l->pad_top, x * l->stride_w - l->pad_left, column);
            conv_pixel(l, p, taps, out);
        }
    }
}

void ren_int8_depthwise(const ren_layer *l, const int8_t *in, int8_t *out, int8_t *column) {
    int32_t taps = l->kernel_h * l->kernel_w;
    for (int32_t y = 0; y < l->out_h; y++) {
        for (int32_t x = 0; x < l->out_w; x++, out += l->out_c) {
            const int8_t *p = patch(l, in, y * l->stride_h - l->pad_top, x * l->stride_w - l->pad_left, column);
            depthwise_pixel(l, p, taps, out);
        }
    }
}

static int32_t max_i32(int32_t a, int32_t b) {
    return a > b ? a : b;
}

static int32_t min_i32(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* The mean of rows y0..y1 and columns x0..x1 of each channel, ties away from zero; padding does not count. */
static void average_pixel(const ren_layer *l, const int8_t *in, int32_t y0, int32_t y1, int32_t x0, int32_t x1,
    int8_t *out) {
    int32_t n = (y1 - y0) * (x1 - x0);
    for (int32_t c = 0; c < l->in_c; c++) {
        int32_t sum = 0;
        for (int32_t y = y0; y < y1; y++) {
            const int8_t *p = in + (y * l->in_w + x0) * l->in_c + c;
            for (int32_t x = x0; x < x1; x++, p += l->in_c) {
                sum += *p;
            }
        }
        int32_t mean = sum > 0 ? (sum + n / 2) / n : (sum - n / 2) / n;
        out[c] = (int8_t)min_i32(max_i32(mean, l->act_min), l->act_max);
    }
}

void ren_int8_average(const ren_layer *l, const int8_t *in, int8_t *out) {
    for (int32_t oy = 0; oy < l->out_h; oy++) {
        int32_t y = oy * l->stride_h - l->pad_top;
        int32_t y1 = min_i32(y + l->kernel_h, l->in_h);
        for (int32_t ox = 0; ox < l->out_w; ox++, out += l->out_c) {
            int32_t x = ox * l->stride_w - l->pad_left;
            average_pixel(l, in, max_i32(y, 0), y1, max_i32(x, 0), min_i32(x + l->kernel_w, l->in_w), out);
        }
    }
}
