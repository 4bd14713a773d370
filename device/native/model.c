/* See model.h; the layout is models/ARTIFACT.md. Two passes over the same records: check refuses, run trusts. */
#include "model.h"

#include <string.h>

#include "int8.h"

enum { HEADER_BYTES = 60, LAYER_BYTES = 48 };
enum { CONV = 1, DEPTHWISE = 2, AVERAGE = 3 };

#define NONE 0xFFFFFFFFu /* as source: the window; as destination: the embedding; elsewhere: not there */

typedef struct {
    ren_layer layer;
    uint32_t kind, source, destination, scratch, weights, channels;
} record;

static uint32_t load_u16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t load_u32(const uint8_t *p) {
    return load_u16(p) | load_u16(p + 2) << 16;
}

static void read_record(const uint8_t *artifact, uint32_t index, record *r) {
    const uint8_t *p = artifact + HEADER_BYTES + index * LAYER_BYTES;
    ren_layer *l = &r->layer;
    r->kind = p[0];
    l->in_zero = (int8_t)p[1], l->out_zero = (int8_t)p[2], l->act_min = (int8_t)p[3], l->act_max = (int8_t)p[4];
    l->kernel_h = p[8], l->kernel_w = p[9], l->stride_h = p[10], l->stride_w = p[11];
    l->dilation_h = p[12], l->dilation_w = p[13], l->pad_top = p[14], l->pad_left = p[15];
    l->in_h = (int32_t)load_u16(p + 16), l->in_w = (int32_t)load_u16(p + 18), l->in_c = (int32_t)load_u16(p + 20);
    l->out_h = (int32_t)load_u16(p + 22), l->out_w = (int32_t)load_u16(p + 24), l->out_c = (int32_t)load_u16(p + 26);
    r->source = load_u32(p + 28), r->destination = load_u32(p + 32), r->scratch = load_u32(p + 36);
    r->weights = load_u32(p + 40), r->channels = load_u32(p + 44);
}

static uint64_t tensor_bytes(int32_t h, int32_t w, int32_t c) {
    return (uint64_t)h * (uint64_t)w * (uint64_t)c;
}

static int fits(uint32_t offset, uint64_t bytes, uint32_t room) {
    return offset <= room && bytes <= room - offset;
}

static int is_shape_good(const record *r) {
    const ren_layer *l = &r->layer;
    int sizes = l->kernel_h && l->kernel_w && l->stride_h && l->stride_w && l->dilation_h && l->dilation_w
        && l->in_h && l->in_w && l->in_c && l->out_h && l->out_w && l->out_c;
    int taps = tensor_bytes(l->kernel_h, l->kernel_w, l->in_c) <= REN_TAPS_MAX;
    return sizes && taps && l->act_min <= l->act_max && (r->kind == CONV || l->in_c == l->out_c);
}

/* Whether every window that starts inside the padding still covers a byte of the input: the mean of none is
 * undefined. */
static int is_average_good(const record *r) {
    const ren_layer *l = &r->layer;
    return l->pad_top < l->kernel_h && l->pad_left < l->kernel_w && l->dilation_h == 1 && l->dilation_w == 1
        && (l->out_h - 1) * l->stride_h - l->pad_top < l->in_h
        && (l->out_w - 1) * l->stride_w - l->pad_left < l->in_w;
}

/* Whether no patch needs the scratch column: one tap, never outside the input. */
static int is_in_place(const ren_layer *l) {
    return l->kernel_h == 1 && l->kernel_w == 1 && l->pad_top == 0 && l->pad_left == 0
        && (l->out_h - 1) * l->stride_h < l->in_h && (l->out_w - 1) * l->stride_w < l->in_w;
}

/* Whether two regions of the arena share no byte; what is not in the arena shares none. */
static int is_apart(uint32_t a, uint64_t a_bytes, uint32_t b, uint64_t b_bytes) {
    return a == NONE || b == NONE || a + a_bytes <= b || b + b_bytes <= a;
}

static int check_buffers(const record *r, const ren_model_facts *facts) {
    const ren_layer *l = &r->layer;
    uint64_t in = tensor_bytes(l->in_h, l->in_w, l->in_c), out = tensor_bytes(l->out_h, l->out_w, l->out_c);
    uint64_t column = tensor_bytes(l->kernel_h, l->kernel_w, l->in_c);
    int in_good = r->source == NONE ? in == facts->input_bytes : fits(r->source, in, facts->arena_bytes);
    int out_good = r->destination == NONE ? out == facts->output_bytes : fits(r->destination, out, facts->arena_bytes);
    int scratch_good = r->scratch == NONE ? r->kind == AVERAGE || is_in_place(l)
        : fits(r->scratch, column, facts->arena_bytes);
    int apart = is_apart(r->source, in, r->destination, out) && is_apart(r->source, in, r->scratch, column)
        && is_apart(r->destination, out, r->scratch, column);
    return in_good && out_good && scratch_good && apart ? REN_OK : REN_BAD_BUFFER;
}

static int check_weights(const record *r, const uint8_t *artifact, uint32_t size) {
    const ren_layer *l = &r->layer;
    uint64_t weights = tensor_bytes(l->kernel_h, l->kernel_w, l->out_c) * (r->kind == CONV ? (uint32_t)l->in_c : 1);
    uint64_t channels = (uint64_t)l->out_c * REN_CHANNEL_BYTES;
    if (r->weights % 4 || r->channels % 4 || !fits(r->weights, weights, size) || !fits(r->channels, channels, size)) {
        return REN_BAD_WEIGHTS;
    }
    const uint8_t *p = artifact + r->channels;
    for (int32_t c = 0; c < l->out_c; c++, p += REN_CHANNEL_BYTES) {
        int32_t shift = (int32_t)load_u32(p + 8);
        if (load_u32(p + 4) > INT32_MAX || shift < -31 || shift > 30) {
            return REN_BAD_CHANNEL;
        }
    }
    return REN_OK;
}

static int check_record(const record *r, const ren_model_facts *facts, const uint8_t *artifact, uint32_t size) {
    if (r->kind != CONV && r->kind != DEPTHWISE && r->kind != AVERAGE) {
        return REN_BAD_KIND;
    }
    if (!is_shape_good(r) || (r->kind == AVERAGE && !is_average_good(r))) {
        return REN_BAD_SHAPE;
    }
    int error = check_buffers(r, facts);
    if (error == REN_OK && r->kind != AVERAGE) {
        error = check_weights(r, artifact, size);
    }
    return error;
}

static int is_size_good(uint32_t bytes) {
    return bytes > 0 && bytes <= REN_ARENA_MAX;
}

int ren_model_check(const uint8_t *artifact, size_t size) {
    if (size < HEADER_BYTES || size != load_u32(artifact + 4)) {
        return REN_BAD_SIZE;
    }
    if (memcmp(artifact, "REN1", 4) != 0) {
        return REN_BAD_MAGIC;
    }
    ren_model_facts facts;
    ren_model_info(artifact, &facts);
    if (facts.layers == 0 || !is_size_good(facts.input_bytes) || !is_size_good(facts.output_bytes)
        || facts.arena_bytes > REN_ARENA_MAX) {
        return REN_BAD_HEADER;
    }
    if (!fits(HEADER_BYTES, (uint64_t)facts.layers * LAYER_BYTES, (uint32_t)size)) {
        return REN_BAD_SIZE;
    }
    int error = REN_OK;
    for (uint32_t i = 0; i < facts.layers && error == REN_OK; i++) {
        record r;
        read_record(artifact, i, &r);
        error = check_record(&r, &facts, artifact, (uint32_t)size);
    }
    return error;
}

const char *ren_model_error(int error) {
    switch (error) {
        case REN_OK:
            return "no error";
        case REN_BAD_SIZE:
            return "artifact is not as long as its header says";
        case REN_BAD_MAGIC:
            return "artifact does not begin with REN1";
        case REN_BAD_HEADER:
            return "artifact's header names no layer, or an empty or too large window, embedding or arena";
        case REN_BAD_KIND:
            return "artifact has a layer of unknown kind";
        case REN_BAD_SHAPE:
            return "artifact has a layer whose shapes do not fit together";
        case REN_BAD_BUFFER:
            return "artifact has a layer outside its arena, window or embedding";
        case REN_BAD_WEIGHTS:
            return "artifact has weights outside itself or not aligned";
        case REN_BAD_CHANNEL:
            return "artifact has a multiplier below 0 or a shift outside -31..30";
        default:
            return "unknown error";
    }
}

void ren_model_info(const uint8_t *artifact, ren_model_facts *facts) {
    facts->layers = load_u32(artifact + 8);
    facts->input_bytes = load_u32(artifact + 12);
    facts->output_bytes = load_u32(artifact + 16);
    facts->arena_bytes = load_u32(artifact + 20);
    facts->cid = artifact + 24;
}

void ren_model_run(const uint8_t *artifact, const int8_t *in, int8_t *out, uint8_t *arena) {
    int8_t *bytes = (int8_t *)arena;
    uint32_t layers = load_u32(artifact + 8);
    for (uint32_t i = 0; i < layers; i++) {
        record r;
        read_record(artifact, i, &r);
        const int8_t *source = r.source == NONE ? in : bytes + r.source;
        int8_t *destination = r.destination == NONE ? out : bytes + r.destination;
        int8_t *column = r.scratch == NONE ? NULL : bytes + r.scratch;
        if (r.kind == AVERAGE) {
            ren_int8_average(&r.layer, source, destination);
            continue;
        }
        r.layer.weights = (const int8_t *)artifact + r.weights;
        r.layer.channels = artifact + r.channels;
        if (r.kind == CONV) {
            ren_int8_conv(&r.layer, source, destination, column);
        } else {
            ren_int8_depthwise(&r.layer, source, destination, column);
        }
    }
}
