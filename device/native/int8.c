/* CONV; see int8.h. The input's zero point is folded into the bias, so a product needs no subtraction and padding is
 * the zero point itself. Sums are signed, which keeps compilers from regrouping them, and at most REN_TAPS_MAX products
 * long, so they cannot overflow; the bias is added modulo 2^32, as the reference's sums would wrap. */
#include "int8.h"

#include "int8_block.h"
#include "int8_output.h"
#if defined(__ARM_ARCH_6M__)
#include "int8_pairs.h"
#endif

/* A row of the kernel from column x on, copied to p; what is outside the input is the zero point. */
static int8_t *copy_row(const ren_layer *l, const int8_t *row, int32_t x, int8_t *p) {
    if (x >= 0 && x + l->kernel_w <= l->in_w && l->dilation_w == 1) {
        memcpy(p, row + x * l->in_c, (size_t)(l->kernel_w * l->in_c));
        return p + l->kernel_w * l->in_c;
    }
    for (int32_t kx = 0; kx < l->kernel_w; kx++, p += l->in_c) {
        int32_t col = x + kx * l->dilation_w;
        if (col >= 0 && col < l->in_w) {
            memcpy(p, row + col * l->in_c, (size_t)l->in_c);
        } else {
            memset(p, l->in_zero, (size_t)l->in_c);
        }
    }
    return p;
}

const int8_t *ren_copy_patch(const ren_layer *l, const int8_t *in, int32_t y, int32_t x, int8_t *column) {
    int8_t *p = column;
    for (int32_t ky = 0; ky < l->kernel_h; ky++) {
        int32_t row = y + ky * l->dilation_h;
        if (row >= 0 && row < l->in_h) {
            p = copy_row(l, in + row * l->in_w * l->in_c, x, p);
        } else {
            memset(p, l->in_zero, (size_t)(l->kernel_w * l->in_c));
            p += l->kernel_w * l->in_c;
        }
    }
    return column;
}

/* Outputs of all channels for one patch; step: see ren_expand. */
static REN_NOINLINE void conv_one(const ren_layer *l, const ren_tap *x, int32_t step, int32_t taps, int8_t *out) {
    const int8_t *w = l->weights;
    const uint8_t *table = l->table;
    int32_t twice_zero = 2 * l->out_zero + 1, quick = is_quick(l), left = l->out_c;
    for (; left > 0; left -= 4, w += 4 * taps, table += 4 * REN_CHANNEL_BYTES, out += 4) {
        int32_t sum[4];
        ren_dot41(x, step, w, taps, sum);
        store_four(l, quick, twice_zero, table, sum, left, out);
    }
}

/* What all patches of a layer share. */
typedef struct {
    const int8_t *in;
    int8_t *column;
    int32_t taps, step;  /* rounded up to eights; 2 if there is but one output, else 4 */
    int contiguous;      /* whether a patch inside the input lies there byte after byte */
} patches;

/* Outputs of all channels for two patches. */
#if REN_DSP
static REN_NOINLINE void conv_two(const ren_layer *l, const patches *p, const ren_tap *x, const ren_tap *y,
    int8_t *out) {
    const int8_t *w = l->weights;
    const uint8_t *table = l->table;
    int32_t twice_zero = 2 * l->out_zero + 1, quick = is_quick(l), apart = l->out_c, taps = p->taps;
    (void)y; /* lies with x */
    for (int32_t left = apart; left > 0; left -= 4, w += 4 * taps, table += 4 * REN_CHANNEL_BYTES, out += 4) {
        for (int32_t i = 0; i < 4 && i < left; i += 2) {
            int32_t sum[4];
            const uint8_t *at = table + i * REN_CHANNEL_BYTES;
            ren_dot22(x, w + 4 * i, taps, sum);
            store2(l, quick, twice_zero, at, sum[0], sum[2], out + i, apart);
            if (i + 1 < left) {
                store2(l, quick, twice_zero, at + REN_CHANNEL_BYTES, sum[1], sum[3], out + i + 1, apart);
            }
        }
    }
}
#elif defined(__ARM_ARCH_6M__)
static REN_NOINLINE void conv_two(const ren_layer *l, const patches *p, const ren_tap *x, const ren_tap *y,
    int8_t *out) {
    const int8_t *w = l->weights;
    const uint8_t *table = l->table;
    int32_t *pairs = (int32_t *)(void *)p->column;
    int32_t twice_zero = 2 * l->out_zero + 1, quick = is_quick(l), left = l->out_c, taps = p->taps;
    ren_pair(x, y, taps, pairs);
    for (; left > 0; left -= 4, w += 4 * taps, table += 4 * REN_CHANNEL_BYTES, out += 4) {
        int32_t sum[8];
        ren_dot22(pairs, w, taps, sum);
        ren_dot22(pairs, w + 8, taps, sum + 2);
        store_four(l, quick, twice_zero, table, sum, left, out);
        store_four(l, quick, twice_zero, table, sum + 4, left, out + l->out_c);
    }
}
#else
static REN_NOINLINE void conv_two(const ren_layer *l, const patches *p, const ren_tap *x, const ren_tap *y,
    int8_t *out) {
    const int8_t *w = l->weights;
    const uint8_t *table = l->table;
    int32_t twice_zero = 2 * l->out_zero + 1, quick = is_quick(l), apart = l->out_c, taps = p->taps;
    for (int32_t left = apart; left > 0; left -= 4, w += 4 * taps, table += 4 * REN_CHANNEL_BYTES, out += 4) {
        int32_t sum[8];
        ren_dot42(x, y, w, taps, sum);
        if (quick && left > 3) {
            quick2(twice_zero, table, sum[0], sum[4], out, apart);
            quick2(twice_zero, table + REN_CHANNEL_BYTES, sum[1], sum[5], out + 1, apart);
            quick2(twice_zero, table + 2 * REN_CHANNEL_BYTES, sum[2], sum[6], out + 2, apart);
            quick2(twice_zero, table + 3 * REN_CHANNEL_BYTES, sum[3], sum[7], out + 3, apart);
            continue;
        }
        /* A copy to be indexed, so that above the sums stay in registers. */
        const int32_t kept[8] = {sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]};
        for (int i = 0; i < 4 && i < left; i++) {
            store2(l, quick, twice_zero, table + i * REN_CHANNEL_BYTES, kept[i], kept[4 + i], out + i, apart);
        }
    }
}
#endif

/* The patch at (y, x) as the inner loops want it, the first (0) or second (1) of a pair. */
static const ren_tap *conv_patch(const ren_layer *l, const patches *p, int32_t y, int32_t x, int32_t second) {
    int in_place = p->contiguous && is_inside(l, y, x);
#if REN_DSP
    ren_tap *pairs = (ren_tap *)(void *)p->column + 2 * second;
    int8_t *bytes = p->column + (p->step == 2 ? p->taps : 4 * p->taps);
    const int8_t *patch = in_place ? p->in + (y * l->in_w + x) * l->in_c : ren_copy_patch(l, p->in, y, x, bytes);
    ren_expand(patch, p->taps, pairs, p->step);
    return pairs;
#else
    if (in_place) {
        return p->in + (y * l->in_w + x) * l->in_c;
    }
    return ren_copy_patch(l, p->in, y, x, p->column + (p->step == 2 ? 0 : 3 + second) * p->taps);
#endif
}

void ren_int8_conv(const ren_layer *l, const int8_t *in, int8_t *out, int8_t *column) {
    int32_t length = l->kernel_h * l->kernel_w * l->in_c, taps = (length + 7) & ~7;
    int rows = l->kernel_h == 1 || (l->kernel_w == l->in_w && l->dilation_h == 1);
    patches p = {in, column, taps, l->out_h == 1 && l->out_w == 1 ? 2 : 4,
                 rows && (l->kernel_w == 1 || l->dilation_w == 1) && length == taps};
    const ren_tap *waiting = NULL; /* the first patch of a pair */
    for (int32_t oy = 0; oy < l->out_h; oy++) {
        for (int32_t ox = 0; ox < l->out_w; ox++) {
            int32_t y = oy * l->stride_h - l->pad_top, x = ox * l->stride_w - l->pad_left;
            const ren_tap *patch = conv_patch(l, &p, y, x, waiting != NULL);
            if (waiting) {
                conv_two(l, &p, waiting, patch, out);
                out += 2 * l->out_c;
                waiting = NULL;
            } else {
                waiting = patch;
            }
        }
    }
    if (waiting) {
        conv_one(l, waiting, p.step, taps, out);
    }
}
