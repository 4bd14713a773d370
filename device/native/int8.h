/* int8 kernels: one layer from one buffer to another, bit for bit what TFLite's reference kernels compute. They
 * check nothing: ren_model_check (model.h) has refused every layer that would leave its buffers.
 *
 * Arithmetic: TFLite int8 specification with gemmlowp's two roundings. No float, no malloc, no writable globals.
 * Needs arithmetic right shift of negative integers, which C99 leaves to the compiler and every one we use gives.
 * What the layers of each kind hold is in models/ARTIFACT.md; which operators they come from too.
 */
#ifndef REN_INT8_H
#define REN_INT8_H

#include <stdint.h>

/* One layer. Tensors are int8 [height, width, channels], row-major. */
typedef struct {
    int32_t in_zero, out_zero;    /* zero points */
    int32_t act_min, act_max;     /* the fused activation's clamp, in output units */
    int32_t flags, broadcast;     /* REN_NARROW... below */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    const int8_t *weights;        /* int8 constants, or NULL */
    const uint8_t *table;         /* int32 little-endian constants, any alignment, or NULL */
} ren_layer;

/* flags of CONV and DEPTHWISE */
#define REN_NARROW 1  /* every channel's |sum + bias| < 2^30 and shift < 0, so that the short scaling is exact */
/* flags of ADD */
#define REN_MINUS_FIRST 1
#define REN_MINUS_SECOND 2
/* flag of COPY */
#define REN_FILL 1    /* the destination is first filled with in_zero */
/* broadcast of ADD and MUL: the operand has one row, column or channel, which serves all */
#define REN_FIRST_H 1
#define REN_FIRST_W 2
#define REN_FIRST_C 4
#define REN_SECOND_H 8
#define REN_SECOND_W 16
#define REN_SECOND_C 32

#define REN_CHANNEL_BYTES 12   /* bias (with -in_zero * sum of weights folded in), multiplier, shift */
#define REN_TAPS_MAX 131064    /* of one CONV output: 2^17 products of -128 * -128 would overflow an int32 */
#define REN_SOFTMAX_MAX 511    /* values of a row: their exponentials' sum stays below 2^28 */
#define REN_COPY_DIMENSIONS 4

/* in: read only; out: overwritten. Buffers must not overlap, but where a kernel says so, or, in CONV and DEPTHWISE,
 * where out begins so far before in that it overwrites only what no patch reads any more: patches come in row-major
 * order, in CONV two at a time, and are not read once their last output is written.
 * column: scratch. CONV: REN_TAP_BYTES a tap, taps rounded up to eights, at a multiple of 4; REN_LONE_TAP_BYTES if
 * there is but one output pixel. DEPTHWISE: kernel_h * kernel_w * in_c bytes, untouched where every patch is inside. */
#define REN_TAP_BYTES 5
#define REN_LONE_TAP_BYTES 2
void ren_int8_conv(const ren_layer *layer, const int8_t *in, int8_t *out, int8_t *column);
void ren_int8_depthwise(const ren_layer *layer, const int8_t *in, int8_t *out, int8_t *column); /* in_c == out_c */

void ren_int8_average(const ren_layer *layer, const int8_t *in, int8_t *out); /* in_c == out_c */
void ren_int8_max(const ren_layer *layer, const int8_t *in, int8_t *out);     /* in_c == out_c */
void ren_int8_mean(const ren_layer *layer, const int8_t *in, int8_t *out);    /* [h, w, c] to [h, 1, c] */

/* out may be an operand of the same size. */
void ren_int8_add(const ren_layer *layer, const int8_t *first, const int8_t *second, int8_t *out);
void ren_int8_mul(const ren_layer *layer, const int8_t *first, const int8_t *second, int8_t *out);
void ren_int8_lookup(const ren_layer *layer, const int8_t *in, int8_t *out);
void ren_int8_softmax(const ren_layer *layer, const int8_t *in, int8_t *out);

void ren_int8_copy(const ren_layer *layer, const int8_t *in, int8_t *out);

#endif
