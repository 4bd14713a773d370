/* What CONV and DEPTHWISE share: from sums to outputs, and whether a patch lies inside the input. */
#ifndef REN_INT8_OUTPUT_H
#define REN_INT8_OUTPUT_H

#include "int8.h"
#include "int8_scale.h"

typedef struct {
    int32_t bias, multiplier, shift;
} channel;

static inline channel load_channel(const uint8_t *p) {
    channel result = {ren_load_i32(p), ren_load_i32(p + 4), (int8_t)p[8]}; /* -31..30: its low byte says all of it */
    return result;
}

/* Whether a layer's outputs are quick_output's. */
static inline int is_quick(const ren_layer *l) {
    return (l->flags & REN_NARROW) && l->act_min == -128 && l->act_max == 127 && ren_is_word(l->table);
}

/* One output of a narrow layer that clamps to int8 only: a right shift of at least one and no sum of 2^30.
 * twice_zero is 2 * out_zero + 1: the one rounds, and the last shift halves. */
static inline int32_t quick_output(int32_t sum, channel k, int32_t twice_zero) {
    int32_t y = ren_narrow_srdhm((int32_t)((uint32_t)sum + (uint32_t)k.bias), k.multiplier);
    y = (int32_t)((uint32_t)y + (uint32_t)(y >> 31)) >> ~k.shift;
    return ren_half_saturated((int32_t)((uint32_t)y + (uint32_t)twice_zero));
}

static inline int32_t any_output(const ren_layer *l, int32_t sum, channel k) {
    uint32_t biased = (uint32_t)sum + (uint32_t)k.bias;
    return ren_output(biased, k.multiplier, k.shift, l->out_zero, l->act_min, l->act_max);
}

/* The same of a quick layer's table. */
static inline channel load_quick(const uint8_t *p) {
    channel result = {ren_load_word(p), ren_load_word(p + 4), ren_load_word(p + 8)};
    return result;
}

/* One channel's output for one patch. */
static inline void quick1(int32_t twice_zero, const uint8_t *table, int32_t sum, int8_t *out) {
    *out = (int8_t)quick_output(sum, load_quick(table), twice_zero);
}

static inline void store1(const ren_layer *l, int quick, int32_t twice_zero, const uint8_t *table, int32_t sum,
    int8_t *out) {
    if (quick) {
        quick1(twice_zero, table, sum, out);
    } else {
        *out = (int8_t)any_output(l, sum, load_channel(table));
    }
}

#if defined(__ARM_ARCH_6M__)
/* quick1 until end. */
static REN_NOINLINE void store_quick(const int32_t *sum, const uint8_t *table, int32_t twice_zero, int8_t *out,
    const int8_t *end) {
    do {
        quick1(twice_zero, table, *sum++, out++);
        table += REN_CHANNEL_BYTES;
    } while (out != end);
}

/* store_four as below, in a loop, which gets the few registers for itself. */
static REN_NOINLINE void store_four(const ren_layer *l, int quick, int32_t twice_zero, const uint8_t *table,
    const int32_t sum[4], int32_t left, int8_t *out) {
    const int8_t *end = out + (left < 4 ? left : 4);
    if (quick) {
        store_quick(sum, table, twice_zero, out, end);
        return;
    }
    for (; out != end; out++, sum++, table += REN_CHANNEL_BYTES) {
        *out = (int8_t)any_output(l, *sum, load_channel(table));
    }
}
#else
/* store1 for a group of four channels, of which the layer has `left`, if that is less. */
static inline void store_four(const ren_layer *l, int quick, int32_t twice_zero, const uint8_t *table,
    const int32_t sum[4], int32_t left, int8_t *out) {
    store1(l, quick, twice_zero, table, sum[0], out);
    if (left > 3) {
        store1(l, quick, twice_zero, table + REN_CHANNEL_BYTES, sum[1], out + 1);
        store1(l, quick, twice_zero, table + 2 * REN_CHANNEL_BYTES, sum[2], out + 2);
        store1(l, quick, twice_zero, table + 3 * REN_CHANNEL_BYTES, sum[3], out + 3);
        return;
    }
    for (int i = 1; i < left; i++) {
        store1(l, quick, twice_zero, table + i * REN_CHANNEL_BYTES, sum[i], out + i);
    }
}
#endif

/* One channel's outputs for two patches, which lie `apart`. */
static inline void quick2(int32_t twice_zero, const uint8_t *table, int32_t sum, int32_t other, int8_t *out,
    int32_t apart) {
    channel k = load_quick(table);
    out[0] = (int8_t)quick_output(sum, k, twice_zero);
    out[apart] = (int8_t)quick_output(other, k, twice_zero);
}

static inline void store2(const ren_layer *l, int quick, int32_t twice_zero, const uint8_t *table, int32_t sum,
    int32_t other, int8_t *out, int32_t apart) {
    if (quick) {
        quick2(twice_zero, table, sum, other, out, apart);
    } else {
        channel k = load_channel(table);
        out[0] = (int8_t)any_output(l, sum, k);
        out[apart] = (int8_t)any_output(l, other, k);
    }
}

/* Whether the patch at (y, x) lies inside the input. */
static inline int is_inside(const ren_layer *l, int32_t y, int32_t x) {
    return y >= 0 && x >= 0 && y + (l->kernel_h - 1) * l->dilation_h < l->in_h
        && x + (l->kernel_w - 1) * l->dilation_w < l->in_w;
}

/* The patch at (y, x) as [kernel_h][kernel_w][in_c], copied to column; what is outside the input is the zero point. */
const int8_t *ren_copy_patch(const ren_layer *l, const int8_t *in, int32_t y, int32_t x, int8_t *column);

#endif
