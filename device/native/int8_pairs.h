/* The innermost loop of CONV over two patches on cores of ARMv6-M, which have a 32-bit product and no SIMD: two values
 * in one word are multiplied at once. */
#ifndef REN_INT8_PAIRS_H
#define REN_INT8_PAIRS_H

#include "int8_scale.h"

/* Two patches as one: word i holds -x[i] - y[i] * 2^16, so that one product serves both. pairs has taps words; x may
 * lie in its last quarter. */
static REN_NOINLINE void ren_pair(const int8_t *x, const int8_t *y, int32_t taps, int32_t *pairs) {
    for (int32_t i = 0; i < taps; i++) {
        pairs[i] = -(x[i] + y[i] * 65536);
    }
}

/* Two taps of one channel: -(x * w + x' * w') is -32768 to 32512, so it is the sum's low half; y's is the high half. */
#define REN_STEP12(first, second, of_x, of_y) \
    "movs r6, #" #first "\n\tldrsb r6, [%1, r6]\n\tmuls r6, r4, r6\n\t" \
    "movs r7, #" #second "\n\tldrsb r7, [%1, r7]\n\tmuls r7, r5, r7\n\t" \
    "adds r6, r6, r7\n\tsxth r7, r6\n\tadd " #of_x ", r7\n\t" \
    "subs r6, r6, r7\n\tasrs r6, r6, #16\n\tadd " #of_y ", r6\n\t"
#define REN_STORE1(of, at) "mov r4, " #of "\n\tnegs r4, r4\n\tstr r4, [%3, #" #at "]\n\t"

/* Two channels of a four over two patches: sum[0..1] of x, sum[4..5] of y. Sums are in r8 to r11, which a compiler that
 * optimizes for size takes for nobody's: they are kept here. */
static REN_NOINLINE void ren_dot22(const int32_t *pairs, const int8_t *w, int32_t taps, int32_t *sum) {
    __asm__ volatile(".syntax unified\n\t"
        "mov r4, r8\n\tmov r5, r9\n\tmov r6, r10\n\tmov r7, r11\n\tpush {r4, r5, r6, r7}\n\t"
        "movs r4, #0\n\tmov r8, r4\n\tmov r9, r4\n\tmov r10, r4\n\tmov r11, r4\n"
        "1:\n\tldmia %0!, {r4, r5}\n\t" REN_STEP12(0, 1, r8, r9) REN_STEP12(4, 5, r10, r11)
        "ldmia %0!, {r4, r5}\n\t" REN_STEP12(2, 3, r8, r9) REN_STEP12(6, 7, r10, r11)
        "adds %1, #16\n\tcmp %0, %2\n\tbne 1b\n\t"
        REN_STORE1(r8, 0) REN_STORE1(r10, 4) REN_STORE1(r9, 16) REN_STORE1(r11, 20)
        "pop {r4, r5, r6, r7}\n\tmov r8, r4\n\tmov r9, r5\n\tmov r10, r6\n\tmov r11, r7"
        : "+l"(pairs), "+l"(w) : "l"(pairs + taps), "l"(sum) : "r4", "r5", "r6", "r7", "cc", "memory");
}

#endif
