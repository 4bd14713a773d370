/* AVERAGE, MAX and MEAN; see int8.h. Padding does not count. */
#include "int8.h"

#include "int8_scale.h"

static int32_t max_i32(int32_t a, int32_t b) {
    return a > b ? a : b;
}

static int32_t min_i32(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* A window of the input: rows y0..y1-1, columns x0..x1-1. */
typedef struct {
    int32_t y0, y1, x0, x1;
} window;

static window window_at(const ren_layer *l, int32_t oy, int32_t ox) {
    int32_t y = oy * l->stride_h - l->pad_top, x = ox * l->stride_w - l->pad_left;
    int32_t y1 = min_i32(y + l->kernel_h, l->in_h), x1 = min_i32(x + l->kernel_w, l->in_w);
    window result = {max_i32(y, 0), y1, max_i32(x, 0), x1};
    return result;
}

/* Ties away from zero. */
static int8_t average(const ren_layer *l, const int8_t *in, window at, int32_t c) {
    int32_t n = (at.y1 - at.y0) * (at.x1 - at.x0), sum = 0;
    for (int32_t y = at.y0; y < at.y1; y++) {
        const int8_t *p = in + (y * l->in_w + at.x0) * l->in_c + c;
        for (int32_t x = at.x0; x < at.x1; x++, p += l->in_c) {
            sum += *p;
        }
    }
    return (int8_t)ren_clamp(sum > 0 ? (sum + n / 2) / n : (sum - n / 2) / n, l->act_min, l->act_max);
}

static int8_t maximum(const ren_layer *l, const int8_t *in, window at, int32_t c) {
    int32_t best = -128;
    for (int32_t y = at.y0; y < at.y1; y++) {
        const int8_t *p = in + (y * l->in_w + at.x0) * l->in_c + c;
        for (int32_t x = at.x0; x < at.x1; x++, p += l->in_c) {
            best = max_i32(best, *p);
        }
    }
    return (int8_t)ren_clamp(best, l->act_min, l->act_max);
}

void ren_int8_average(const ren_layer *l, const int8_t *in, int8_t *out) {
    for (int32_t oy = 0; oy < l->out_h; oy++) {
        for (int32_t ox = 0; ox < l->out_w; ox++) {
            window at = window_at(l, oy, ox);
            for (int32_t c = 0; c < l->in_c; c++) {
                *out++ = average(l, in, at, c);
            }
        }
    }
}

void ren_int8_max(const ren_layer *l, const int8_t *in, int8_t *out) {
    for (int32_t oy = 0; oy < l->out_h; oy++) {
        for (int32_t ox = 0; ox < l->out_w; ox++) {
            window at = window_at(l, oy, ox);
            for (int32_t c = 0; c < l->in_c; c++) {
                *out++ = maximum(l, in, at, c);
            }
        }
    }
}

/* table: bias, multiplier, shift of all outputs. */
void ren_int8_mean(const ren_layer *l, const int8_t *in, int8_t *out) {
    uint32_t bias = (uint32_t)ren_load_i32(l->table);
    int32_t multiplier = ren_load_i32(l->table + 4), shift = (int8_t)l->table[8];
    for (int32_t y = 0; y < l->in_h; y++, in += l->in_w * l->in_c) {
        for (int32_t c = 0; c < l->in_c; c++) {
            uint32_t sum = bias;
            for (int32_t x = 0; x < l->in_w; x++) {
                sum += (uint32_t)(int32_t)in[x * l->in_c + c];
            }
            *out++ = ren_output(sum, multiplier, shift, l->out_zero, l->act_min, l->act_max);
        }
    }
}
