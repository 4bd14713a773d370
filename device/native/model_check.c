/* Whether an artifact may run: see model.h; the layout and the rules are models/ARTIFACT.md. Nothing is read outside
 * the artifact, and pointers of a record are followed only after their offsets were checked. */
#include "model.h"

#include <string.h>

#include "model_record.h"

enum { ADD_TABLE = 32, MUL_TABLE = 16, COPY_TABLE = 64, LOOKUP_BYTES = 256, SOFTMAX_TABLE = 1024 };

typedef struct {
    const ren_model_facts *facts;
    uint32_t size; /* without the digest */
} context;

static int is_pooling(const record *r) {
    return r->kind == AVERAGE || r->kind == MAX;
}

static int has_kernel(const record *r) {
    return r->kind == CONV || r->kind == DEPTHWISE || is_pooling(r);
}

/* Whether every window that starts inside the padding still covers a byte of the input: a mean of none is undefined. */
static int is_pooling_good(const ren_layer *l) {
    return l->pad_top < l->kernel_h && l->pad_left < l->kernel_w && l->dilation_h == 1 && l->dilation_w == 1
        && (l->out_h - 1) * l->stride_h - l->pad_top < l->in_h
        && (l->out_w - 1) * l->stride_w - l->pad_left < l->in_w;
}

static int is_same(const ren_layer *l) {
    return l->in_h == l->out_h && l->in_w == l->out_w && l->in_c == l->out_c;
}

static int is_shape_good(const record *r) {
    const ren_layer *l = &r->layer;
    if (!(l->in_h && l->in_w && l->in_c && l->out_h && l->out_w && l->out_c) || l->act_min > l->act_max) {
        return 0;
    }
    if (has_kernel(r)) {
        int sizes = l->kernel_h && l->kernel_w && l->stride_h && l->stride_w && l->dilation_h && l->dilation_w;
        return sizes && bytes_of(l->kernel_h, l->kernel_w, l->in_c) <= REN_TAPS_MAX
            && (r->kind == CONV || l->in_c == l->out_c) && (!is_pooling(r) || is_pooling_good(l));
    }
    switch (r->kind) {
        case MEAN:
            return l->out_h == l->in_h && l->out_w == 1 && l->out_c == l->in_c;
        case SOFTMAX:
            return is_same(l) && l->in_c <= REN_SOFTMAX_MAX;
        case LOOKUP:
            return is_same(l);
        default:
            return 1;
    }
}

static uint64_t weights_bytes(const record *r) {
    const ren_layer *l = &r->layer;
    uint64_t fours = ((uint64_t)l->out_c + 3) & ~3u;
    switch (r->kind) {
        case CONV:
            return fours * ((bytes_of(l->kernel_h, l->kernel_w, l->in_c) + 7) & ~7u);
        case DEPTHWISE:
            return fours * (uint64_t)(l->kernel_h * l->kernel_w);
        case LOOKUP:
            return LOOKUP_BYTES;
        case ADD:
        case MUL:
            return r->weights == NONE ? 0 : operand_bytes(l, l->broadcast / REN_SECOND_H);
        default:
            return 0;
    }
}

static uint64_t table_bytes(const record *r) {
    switch (r->kind) {
        case CONV:
        case DEPTHWISE:
            return (uint64_t)r->layer.out_c * REN_CHANNEL_BYTES;
        case MEAN:
            return REN_CHANNEL_BYTES;
        case ADD:
            return ADD_TABLE;
        case MUL:
            return MUL_TABLE;
        case SOFTMAX:
            return SOFTMAX_TABLE;
        case COPY:
            return COPY_TABLE;
        default:
            return 0;
    }
}

static int is_placed(uint32_t offset, uint64_t bytes, uint32_t size) {
    return bytes == 0 || (offset % 4 == 0 && fits(offset, bytes, size));
}

static int is_scale_good(const uint8_t *p, int32_t highest) {
    int32_t shift = (int32_t)load_u32(p + 4);
    return load_u32(p) <= INT32_MAX && shift >= -31 && shift <= highest;
}

static int is_zero_good(const uint8_t *p) {
    int32_t zero = (int32_t)load_u32(p);
    return zero >= -128 && zero <= 127;
}

static int are_channels_good(const record *r) {
    const uint8_t *p = r->layer.table;
    int32_t count = r->kind == MEAN ? 1 : r->layer.out_c;
    int32_t highest = r->kind != MEAN && r->layer.flags & REN_NARROW ? -1 : 30;
    for (; count > 0; count--, p += REN_CHANNEL_BYTES) {
        if (!is_scale_good(p + 4, highest)) {
            return 0;
        }
    }
    return 1;
}

/* Exponentials fall from 1 (INT32_MAX) and are not negative, so their sum is 2^19 to 511 * 2^19. */
static int are_exponentials_good(const uint8_t *p) {
    for (int i = 0; i < 255; i++) {
        if (load_u32(p + 4 * i) > INT32_MAX) {
            return 0;
        }
    }
    return load_u32(p + 4 * 255) == INT32_MAX;
}

/* Whether the loops of a COPY stay inside `bytes`, beginning at `start`; step: which of the two steps, 4 or 8. */
static int is_copy_inside(const uint8_t *table, int step, uint32_t bytes, uint32_t start) {
    int64_t low = start, high = start;
    const uint8_t *p = table + 16;
    for (int i = 0; i < REN_COPY_DIMENSIONS; i++, p += 12) {
        uint32_t n = load_u32(p);
        int64_t span = (int64_t)(int32_t)load_u32(p + step) * ((int64_t)n - 1);
        if (n == 0 || n > REN_ARENA_MAX || span > REN_ARENA_MAX || span < -(int64_t)REN_ARENA_MAX) {
            return 0;
        }
        low += span < 0 ? span : 0, high += span > 0 ? span : 0;
    }
    return bytes <= REN_ARENA_MAX && low >= 0 && high < bytes;
}

static int is_table_good(const record *r) {
    const uint8_t *p = r->layer.table;
    switch (r->kind) {
        case CONV:
        case DEPTHWISE:
        case MEAN:
            return are_channels_good(r);
        case ADD:
            return is_zero_good(p) && is_scale_good(p + 4, 0) && is_zero_good(p + 12) && is_scale_good(p + 16, 0)
                && is_scale_good(p + 24, 30);
        case MUL:
            return is_zero_good(p) && is_zero_good(p + 4) && is_scale_good(p + 8, 30);
        case SOFTMAX:
            return are_exponentials_good(p);
        case COPY:
            return is_copy_inside(p, 4, load_u32(p), load_u32(p + 8))
                && is_copy_inside(p, 8, load_u32(p + 4), load_u32(p + 12));
        default:
            return 1;
    }
}

static int check_record(const record *r, const context *c) {
    if (r->kind < CONV || r->kind > COPY) {
        return REN_BAD_KIND;
    }
    if (!is_shape_good(r)) {
        return REN_BAD_SHAPE;
    }
    if (!is_placed(r->weights, weights_bytes(r), c->size) || !is_placed(r->table, table_bytes(r), c->size)) {
        return REN_BAD_WEIGHTS;
    }
    if (!is_table_good(r)) {
        return REN_BAD_TABLE;
    }
    return ren_check_buffers(r, c->facts);
}

static int is_size_good(uint32_t bytes) {
    return bytes > 0 && bytes <= REN_ARENA_MAX;
}

static int is_digest_good(const uint8_t *artifact, size_t size) {
    uint8_t digest[DIGEST_BYTES];
    ren_sha256(artifact, size, digest);
    return memcmp(digest, artifact + size, DIGEST_BYTES) == 0;
}

int ren_model_check(const uint8_t *artifact, size_t size) {
    if (size < HEADER_BYTES + DIGEST_BYTES || size > REN_ARENA_MAX || size != load_u32(artifact + 4)) {
        return REN_BAD_SIZE;
    }
    if (memcmp(artifact, "REN3", 4) != 0) {
        return REN_BAD_MAGIC;
    }
    size -= DIGEST_BYTES;
    if (!is_digest_good(artifact, size)) {
        return REN_BAD_DIGEST;
    }
    ren_model_facts facts;
    ren_model_info(artifact, &facts);
    if (facts.layers == 0 || !is_size_good(facts.input_bytes) || !is_size_good(facts.output_bytes)
        || facts.arena_bytes > REN_ARENA_MAX) {
        return REN_BAD_HEADER;
    }
    if (!fits(HEADER_BYTES, (uint64_t)facts.layers * RECORD_BYTES, (uint32_t)size)) {
        return REN_BAD_SIZE;
    }
    context c = {&facts, (uint32_t)size};
    int error = REN_OK;
    for (uint32_t i = 0; i < facts.layers && error == REN_OK; i++) {
        record r;
        read_record(artifact, i, &r);
        error = check_record(&r, &c);
    }
    return error;
}
