/* int8 kernels: one layer from one buffer to another, bit for bit what TFLite's reference kernels compute. They
 * check nothing: ren_model_check (model.h) has refused every layer that would leave its buffers.
 *
 * Arithmetic: TFLite int8 specification with gemmlowp's two roundings. No float, no malloc, no writable globals.
 * Needs arithmetic right shift of negative integers, which C99 leaves to the compiler and every one we use gives.
 * FULLY_CONNECTED is a CONV whose patch is the whole input row; the artifact compiler lowers it to one.
 */
#ifndef REN_INT8_H
#define REN_INT8_H

#include <stdint.h>

/* One layer. Tensors are int8 [height, width, channels], row-major. */
typedef struct {
    int32_t in_zero, out_zero;    /* zero points */
    int32_t act_min, act_max;     /* the fused activation's clamp, in output units */
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    const int8_t *weights;        /* channels in fours while four are left: [group][tap][4]; then [tap] each.
                                   * tap runs over kernel_h * kernel_w * in_c (CONV), kernel_h * kernel_w (DEPTHWISE) */
    const uint8_t *channels;      /* REN_CHANNEL_BYTES for each output channel, any alignment: int32 little-endian
                                   * bias (with -in_zero * sum of weights folded in), multiplier, shift */
} ren_layer;

#define REN_CHANNEL_BYTES 12
#define REN_TAPS_MAX 131071 /* of one CONV output: 2^17 products of -128 * -128 would overflow an int32 */

/* in:  int8[in_h, in_w, in_c], read only.
 * out: int8[out_h, out_w, out_c], overwritten; must not overlap in or column.
 * column: int8[kernel_h * kernel_w * in_c] scratch; not touched where every patch lies contiguous inside the input. */
void ren_int8_conv(const ren_layer *layer, const int8_t *in, int8_t *out, int8_t *column);
void ren_int8_depthwise(const ren_layer *layer, const int8_t *in, int8_t *out, int8_t *column); /* in_c == out_c */
void ren_int8_average(const ren_layer *layer, const int8_t *in, int8_t *out);                   /* in_c == out_c */

#endif
