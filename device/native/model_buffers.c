/* Whether a layer's buffers lie in the arena, or are the window or the embedding, and overlap only as a kernel allows;
 * for model_check.c, which has found the shapes and the table of the record good. */
#include "model_record.h"

/* Scratch of CONV and DEPTHWISE: see int8.h. */
static uint64_t column_bytes(const record *r) {
    const ren_layer *l = &r->layer;
    uint64_t taps = bytes_of(l->kernel_h, l->kernel_w, l->in_c);
    if (r->kind == CONV) {
        return (l->out_h > 1 || l->out_w > 1 ? REN_TAP_BYTES : REN_LONE_TAP_BYTES) * ((taps + 7) & ~7u);
    }
    int inside = l->pad_top == 0 && l->pad_left == 0
        && (l->out_h - 1) * l->stride_h + (l->kernel_h - 1) * l->dilation_h < l->in_h
        && (l->out_w - 1) * l->stride_w + (l->kernel_w - 1) * l->dilation_w < l->in_w;
    return inside ? 0 : taps;
}

static uint64_t source_bytes(const record *r) {
    const ren_layer *l = &r->layer;
    if (r->kind == COPY) {
        return load_u32(l->table);
    }
    return is_binary(r) ? operand_bytes(l, l->broadcast) : bytes_of(l->in_h, l->in_w, l->in_c);
}

static uint64_t destination_bytes(const record *r) {
    const ren_layer *l = &r->layer;
    return r->kind == COPY ? load_u32(l->table + 4) : bytes_of(l->out_h, l->out_w, l->out_c);
}

/* Bytes at `second`: scratch, or the second operand of ADD and MUL; 0 where there is none. */
static uint64_t second_bytes(const record *r) {
    const ren_layer *l = &r->layer;
    if (is_binary(r)) {
        return r->weights == NONE ? operand_bytes(l, l->broadcast / REN_SECOND_H) : 0;
    }
    return r->kind == CONV || r->kind == DEPTHWISE ? column_bytes(r) : 0;
}

/* Whether two regions of the arena share no byte; what is not in the arena shares none. */
static int is_apart(uint32_t a, uint64_t a_bytes, uint32_t b, uint64_t b_bytes) {
    return a == NONE || b == NONE || a + a_bytes <= b || b + b_bytes <= a;
}

/* Whether `out` may lie at an operand: the same place, the same size, element by element. */
static int may_be_at(const record *r, uint32_t operand, uint64_t bytes, uint64_t out) {
    int elementwise = is_binary(r) || r->kind == LOOKUP || r->kind == SOFTMAX;
    return elementwise && operand == r->destination && bytes == out;
}

/* The first byte of the input that the patch at an output needs. */
static int64_t first_read(const ren_layer *l, int32_t row, int32_t column) {
    int32_t y = row * l->stride_h - l->pad_top, x = column * l->stride_w - l->pad_left;
    return ((int64_t)(y > 0 ? y : 0) * l->in_w + (x > 0 ? x : 0)) * l->in_c;
}

/* How far `out` of CONV or DEPTHWISE must begin before the input to overwrite only what was read: int8.h. Below the
 * padding each row is like the one before it. */
static int64_t lead_bytes(const record *r) {
    const ren_layer *l = &r->layer;
    int32_t last = l->out_h - 1, bend = l->pad_top / l->stride_h, group = r->kind == CONV ? 2 : 1;
    int32_t rows[] = {bend > 0 ? bend - 1 : 0, bend, bend + 1, last};
    int64_t most = 0;
    for (int i = 0; i < 4; i++) {
        int32_t row = rows[i] < last ? rows[i] : last;
        int64_t below = first_read(l, row + 1, 0), written = ((int64_t)row * l->out_w + group) * l->out_c;
        for (int32_t column = 0; column < l->out_w; column++, written += l->out_c) {
            int64_t here = first_read(l, row, column), least = here < below ? here : below;
            most = written - least > most ? written - least : most;
        }
    }
    return most;
}

static int may_lead(const record *r) {
    return (r->kind == CONV || r->kind == DEPTHWISE) && r->destination + lead_bytes(r) <= r->source;
}

int ren_check_buffers(const record *r, const ren_model_facts *facts) {
    uint64_t in = source_bytes(r), out = destination_bytes(r), second = second_bytes(r);
    uint32_t arena = facts->arena_bytes;
    int good = r->source == NONE ? in == facts->input_bytes : fits(r->source, in, arena);
    good &= r->destination == NONE ? out == facts->output_bytes : fits(r->destination, out, arena);
    good &= is_apart(r->source, in, r->destination, out) || may_be_at(r, r->source, in, out) || may_lead(r);
    if (second == 0) {
        return good ? REN_OK : REN_BAD_BUFFER;
    }
    if (is_binary(r)) {
        good &= r->second == NONE ? second == facts->input_bytes : fits(r->second, second, arena);
        good &= is_apart(r->second, second, r->destination, out) || may_be_at(r, r->second, second, out);
    } else {
        good &= r->second % 4 == 0 && fits(r->second, second, arena) && is_apart(r->source, in, r->second, second)
            && is_apart(r->destination, out, r->second, second);
    }
    return good ? REN_OK : REN_BAD_BUFFER;
}
