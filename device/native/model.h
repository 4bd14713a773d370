/* Runs a compiled encoder (artifact "REN3", models/ARTIFACT.md) on one window. An artifact is foreign bytes:
 * ren_model_check refuses every one that could read or write outside its buffers, and ren_model_run then checks
 * nothing. Nothing is allocated, copied or kept: weights are used where they lie (flash, heap, any alignment).
 *
 *     if ((error = ren_model_check(artifact, size)) != REN_OK) fail(ren_model_error(error));
 *     ren_model_info(artifact, &info);            then allocate info.arena_bytes
 *     ren_model_run(artifact, in, out, arena);    as often as wanted
 */
#ifndef REN_MODEL_H
#define REN_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define REN_CID_BYTES 36

enum {
    REN_OK = 0,
    REN_BAD_SIZE = -1,     /* shorter than its header, or not the size that the header names */
    REN_BAD_MAGIC = -2,    /* not "REN3" */
    REN_BAD_HEADER = -3,   /* no layers, an empty window or embedding, or more than REN_ARENA_MAX of any */
    REN_BAD_KIND = -4,     /* a layer of no known kind */
    REN_BAD_SHAPE = -5,    /* a dimension of zero, too many taps, or shapes that do not fit together */
    REN_BAD_BUFFER = -6,   /* a layer's buffers overlap, leave the arena, or are not the size of in or out */
    REN_BAD_WEIGHTS = -7,  /* weights or table outside the artifact, or not at a multiple of 4 in it */
    REN_BAD_TABLE = -8,    /* a multiplier below 0, a shift outside -31..30, or another constant out of its range */
    REN_BAD_DIGEST = -9    /* another digest than that of its bytes: storage or transport damaged it */
};

#define REN_ARENA_MAX (16u << 20) /* bytes of arena, window, embedding and artifact; keeps every index inside int32 */

typedef struct {
    uint32_t input_bytes;   /* length of `in` */
    uint32_t output_bytes;  /* length of `out` */
    uint32_t arena_bytes;   /* length of `arena`; may be 0 */
    uint32_t layers;
    const uint8_t *cid;     /* REN_CID_BYTES inside the artifact: binary CIDv1 of the .tflite it was compiled from */
} ren_model_facts;

/* Validates size bytes at artifact. Returns REN_OK or one of the errors above; reads nothing outside the bytes. */
int ren_model_check(const uint8_t *artifact, size_t size);

/* What the error means, in a few words; a constant string, never NULL. */
const char *ren_model_error(int error);

/* Fills facts from an artifact that passed ren_model_check. */
void ren_model_info(const uint8_t *artifact, ren_model_facts *facts);

/* Runs an artifact that passed ren_model_check and has not changed since.
 *   in:    int8[input_bytes], the quantised window, row-major; read only.
 *   out:   int8[output_bytes], the caller's, overwritten; must not overlap in or arena.
 *   arena: uint8[arena_bytes], the caller's, overwritten, at a multiple of 4; nothing in it lives from run to run.
 * The same artifact and window give the same out on every machine. */
void ren_model_run(const uint8_t *artifact, const int8_t *in, int8_t *out, uint8_t *arena);

#endif
