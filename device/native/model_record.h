/* A layer's record in an artifact (models/ARTIFACT.md), read but not checked; for model*.c only. */
#ifndef REN_MODEL_RECORD_H
#define REN_MODEL_RECORD_H

#include <stdint.h>

#include "int8.h"
#include "model.h"
#include "sha256.h"

enum { HEADER_BYTES = 60, RECORD_BYTES = 48, DIGEST_BYTES = REN_SHA256_BYTES };
enum {
    CONV = 1, DEPTHWISE = 2, AVERAGE = 3, MAX = 4, MEAN = 5, ADD = 6, MUL = 7, LOOKUP = 8, SOFTMAX = 9, COPY = 10
};

#define NONE 0xFFFFFFFFu /* as source: the window; as destination: the embedding; elsewhere: not there */

typedef struct {
    ren_layer layer;
    uint32_t kind, source, destination, second, weights, table;
} record;

static inline uint32_t load_u16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t load_u32(const uint8_t *p) {
    return load_u16(p) | load_u16(p + 2) << 16;
}

static inline void read_record(const uint8_t *artifact, uint32_t index, record *r) {
    const uint8_t *p = artifact + HEADER_BYTES + index * RECORD_BYTES;
    ren_layer *l = &r->layer;
    r->kind = p[0];
    l->in_zero = (int8_t)p[1], l->out_zero = (int8_t)p[2], l->act_min = (int8_t)p[3], l->act_max = (int8_t)p[4];
    l->flags = p[5], l->broadcast = p[6];
    l->kernel_h = p[8], l->kernel_w = p[9], l->stride_h = p[10], l->stride_w = p[11];
    l->dilation_h = p[12], l->dilation_w = p[13], l->pad_top = p[14], l->pad_left = p[15];
    l->in_h = (int32_t)load_u16(p + 16), l->in_w = (int32_t)load_u16(p + 18), l->in_c = (int32_t)load_u16(p + 20);
    l->out_h = (int32_t)load_u16(p + 22), l->out_w = (int32_t)load_u16(p + 24), l->out_c = (int32_t)load_u16(p + 26);
    r->source = load_u32(p + 28), r->destination = load_u32(p + 32), r->second = load_u32(p + 36);
    r->weights = load_u32(p + 40), r->table = load_u32(p + 44);
    l->weights = r->weights == NONE ? NULL : (const int8_t *)artifact + r->weights;
    l->table = r->table == NONE ? NULL : artifact + r->table;
}

static inline uint64_t bytes_of(int32_t h, int32_t w, int32_t c) {
    return (uint64_t)h * (uint64_t)w * (uint64_t)c;
}

static inline int fits(uint32_t offset, uint64_t bytes, uint32_t room) {
    return offset <= room && bytes <= room - offset;
}

/* Bytes of an operand of ADD or MUL; broadcast as for the first. */
static inline uint64_t operand_bytes(const ren_layer *l, int32_t broadcast) {
    return bytes_of(broadcast & REN_FIRST_H ? 1 : l->out_h, broadcast & REN_FIRST_W ? 1 : l->out_w,
        broadcast & REN_FIRST_C ? 1 : l->out_c);
}

static inline int is_binary(const record *r) {
    return r->kind == ADD || r->kind == MUL;
}

/* model_buffers.c: REN_OK or REN_BAD_BUFFER. */
int ren_check_buffers(const record *r, const ren_model_facts *facts);

#endif
