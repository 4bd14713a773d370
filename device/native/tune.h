// What loops that are for speed tell GCC; a firmware is built for size. Included first, and by nobody else.

#ifndef TINYREN_TUNE_H
#define TINYREN_TUNE_H

#if defined(__GNUC__)
#if !defined(__clang__)
#pragma GCC optimize("O2", "no-schedule-insns") // moved ahead, loads do not fit the registers
#endif
#define NOINLINE __attribute__((noinline)) // has the registers for itself
#define INLINE static inline __attribute__((always_inline))
#define KEEP(x) __asm__("" : "+r"(x)) // the value is in a register, and no longer known to GCC
#else
#define NOINLINE
#define INLINE static inline
#define KEEP(x) ((void)0)
#endif

#endif
