/* ADD (and SUB), MUL, LOOKUP, SOFTMAX and COPY; see int8.h. */
#include "int8.h"

#include "int8_scale.h"

/* table of ADD: zero point, multiplier, shift of each operand, then multiplier and shift of the sum. */
typedef struct {
    int32_t zero, multiplier, shift, sign;
} operand;

static operand load_operand(const uint8_t *p, int minus) {
    operand result = {ren_load_i32(p), ren_load_i32(p + 4), ren_load_i32(p + 8), minus ? -1 : 1};
    return result;
}

static inline int32_t scaled(int32_t x, const operand *o) {
    int32_t value = (x - o->zero) * (1 << 20); /* below 2^29 */
    return o->sign * ren_rounding_shift(ren_srdhm(value, o->multiplier), -o->shift);
}

/* How far apart an operand's rows, columns and channels lie; 0 where one serves all. */
typedef struct {
    int32_t h, w, c;
} strides;

static strides strides_of(const ren_layer *l, int32_t broadcast) {
    int32_t c = broadcast & REN_FIRST_C ? 1 : l->out_c, w = broadcast & REN_FIRST_W ? 1 : l->out_w;
    strides result = {broadcast & REN_FIRST_H ? 0 : w * c, broadcast & REN_FIRST_W ? 0 : c, c > 1};
    return result;
}

void ren_int8_add(const ren_layer *l, const int8_t *first, const int8_t *second, int8_t *out) {
    operand a = load_operand(l->table, l->flags & REN_MINUS_FIRST);
    operand b = load_operand(l->table + 12, l->flags & REN_MINUS_SECOND);
    int32_t multiplier = ren_load_i32(l->table + 24), shift = ren_load_i32(l->table + 28);
    strides sa = strides_of(l, l->broadcast), sb = strides_of(l, l->broadcast / REN_SECOND_H);
    for (int32_t y = 0; y < l->out_h; y++) {
        for (int32_t x = 0; x < l->out_w; x++) {
            const int8_t *p = first + y * sa.h + x * sa.w, *q = second + y * sb.h + x * sb.w;
            for (int32_t c = 0; c < l->out_c; c++, p += sa.c, q += sb.c) {
                uint32_t sum = (uint32_t)scaled(*p, &a) + (uint32_t)scaled(*q, &b);
                *out++ = ren_output(sum, multiplier, shift, l->out_zero, l->act_min, l->act_max);
            }
        }
    }
}

/* table of MUL: zero points of both operands, multiplier, shift. */
void ren_int8_mul(const ren_layer *l, const int8_t *first, const int8_t *second, int8_t *out) {
    int32_t zero_a = ren_load_i32(l->table), zero_b = ren_load_i32(l->table + 4);
    int32_t multiplier = ren_load_i32(l->table + 8), shift = ren_load_i32(l->table + 12);
    strides sa = strides_of(l, l->broadcast), sb = strides_of(l, l->broadcast / REN_SECOND_H);
    for (int32_t y = 0; y < l->out_h; y++) {
        for (int32_t x = 0; x < l->out_w; x++) {
            const int8_t *p = first + y * sa.h + x * sa.w, *q = second + y * sb.h + x * sb.w;
            for (int32_t c = 0; c < l->out_c; c++, p += sa.c, q += sb.c) {
                uint32_t product = (uint32_t)((*p - zero_a) * (*q - zero_b));
                *out++ = ren_output(product, multiplier, shift, l->out_zero, l->act_min, l->act_max);
            }
        }
    }
}

/* weights: the output of each input from -128 to 127. */
void ren_int8_lookup(const ren_layer *l, const int8_t *in, int8_t *out) {
    const int8_t *middle = l->weights + 128;
    for (const int8_t *end = in + l->in_h * l->in_w * l->in_c; in != end; in++, out++) {
        *out = middle[*in];
    }
}

/* value * 2^n, saturating. */
static int32_t saturating_shift(int32_t value, int n) {
    int32_t limit = INT32_MAX >> n;
    return value > limit ? INT32_MAX : value < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)value << n);
}

/* gemmlowp's one_over_one_plus_x_for_x_in_0_1: x in Q0.31, three steps of Newton's in Q2.29. */
static int32_t one_over_one_plus(int32_t x) {
    int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t result = 1515870810 + ren_srdhm(-1010580540, half);
    for (int i = 0; i < 3; i++) {
        int32_t rest = (1 << 29) - (int32_t)(((int64_t)half * result + (1 << 30)) >> 31);
        result += saturating_shift((int32_t)(((int64_t)result * rest + (1 << 30)) >> 31), 2);
    }
    return saturating_shift(result, 1);
}

static int32_t leading_zeros(uint32_t value) {
    int32_t n = 0;
    for (; value < 0x80000000u; value <<= 1) {
        n++;
    }
    return n;
}

/* table: exp of (x - largest) in Q0.31 for x - largest from -255 to 0. A row is in_c long. */
void ren_int8_softmax(const ren_layer *l, const int8_t *in, int8_t *out) {
    for (int32_t row = l->in_h * l->in_w; row > 0; row--, in += l->in_c, out += l->in_c) {
        int32_t largest = -128, sum = 0;
        for (int32_t c = 0; c < l->in_c; c++) {
            largest = in[c] > largest ? in[c] : largest;
        }
        const uint8_t *table = l->table + 4 * (255 - largest);
        for (int32_t c = 0; c < l->in_c; c++) {
            sum += ren_rounding_shift(ren_load_i32(table + 4 * in[c]), 12); /* Q12.19 */
        }
        int32_t zeros = leading_zeros((uint32_t)sum); /* 4 to 12 */
        int32_t scale = one_over_one_plus((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
        for (int32_t c = 0; c < l->in_c; c++) {
            int32_t y = ren_rounding_shift(ren_srdhm(scale, ren_load_i32(table + 4 * in[c])), 35 - zeros);
            out[c] = (int8_t)ren_clamp(y - 128, -128, 127);
        }
    }
}

/* table: bytes of source and destination, where to begin in each, then for each of four loops, the outermost first, how
 * often, and by how much source and destination step. */
void ren_int8_copy(const ren_layer *l, const int8_t *in, int8_t *out) {
    int32_t n[REN_COPY_DIMENSIONS], from[REN_COPY_DIMENSIONS], to[REN_COPY_DIMENSIONS];
    const uint8_t *p = l->table + 16;
    for (int32_t i = 0; i < REN_COPY_DIMENSIONS; i++, p += 12) {
        n[i] = ren_load_i32(p), from[i] = ren_load_i32(p + 4), to[i] = ren_load_i32(p + 8);
    }
    if (l->flags & REN_FILL) {
        memset(out, l->in_zero, (size_t)ren_load_i32(l->table + 4));
    }
    in += ren_load_i32(l->table + 8), out += ren_load_i32(l->table + 12);
    for (int32_t a = 0; a < n[0]; a++) {
        for (int32_t b = 0; b < n[1]; b++) {
            for (int32_t c = 0; c < n[2]; c++) {
                int32_t source = a * from[0] + b * from[1] + c * from[2];
                int32_t target = a * to[0] + b * to[1] + c * to[2];
                if (from[3] == 1 && to[3] == 1) {
                    memcpy(out + target, in + source, (size_t)n[3]);
                    continue;
                }
                for (int32_t d = 0; d < n[3]; d++) {
                    out[target + d * to[3]] = in[source + d * from[3]];
                }
            }
        }
    }
}
