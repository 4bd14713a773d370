/* See model.h; the layout is models/ARTIFACT.md. What model_check.c has let pass is trusted here. */
#include "model.h"

#include "model_record.h"

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
        const ren_layer *l = &r.layer;
        const int8_t *source = r.source == NONE ? in : bytes + r.source;
        int8_t *destination = r.destination == NONE ? out : bytes + r.destination;
        int8_t *column = r.second == NONE ? NULL : bytes + r.second;
        const int8_t *second = l->weights ? l->weights : r.second == NONE ? in : column;
        if (r.kind == CONV) {
            ren_int8_conv(l, source, destination, column);
        } else if (r.kind == DEPTHWISE) {
            ren_int8_depthwise(l, source, destination, column);
        } else if (r.kind == AVERAGE) {
            ren_int8_average(l, source, destination);
        } else if (r.kind == MAX) {
            ren_int8_max(l, source, destination);
        } else if (r.kind == MEAN) {
            ren_int8_mean(l, source, destination);
        } else if (r.kind == ADD) {
            ren_int8_add(l, source, second, destination);
        } else if (r.kind == MUL) {
            ren_int8_mul(l, source, second, destination);
        } else if (r.kind == LOOKUP) {
            ren_int8_lookup(l, source, destination);
        } else if (r.kind == SOFTMAX) {
            ren_int8_softmax(l, source, destination);
        } else {
            ren_int8_copy(l, source, destination);
        }
    }
}

const char *ren_model_error(int error) {
    switch (error) {
        case REN_OK:
            return "no error";
        case REN_BAD_SIZE:
            return "artifact is not as long as its header says";
        case REN_BAD_MAGIC:
            return "artifact does not begin with REN3";
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
        case REN_BAD_TABLE:
            return "artifact has a multiplier below 0, a shift outside -31..30, or a table out of range";
        case REN_BAD_DIGEST:
            return "artifact: digest does not match, it is damaged";
        default:
            return "unknown error";
    }
}
