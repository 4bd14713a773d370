// Arguments of the types and functions that firmware and native modules share: sizes checked, errors that say what was got.

#ifndef TINYREN_MOD_ARGUMENTS_H
#define TINYREN_MOD_ARGUMENTS_H

#if MICROPY_ENABLE_DYNRUNTIME
#include "py/dynruntime.h"
#else
#include "py/runtime.h"
#endif

// Raises ValueError with a literal format and its objects.
#define TINYREN_RAISE(format, ...) \
    tinyren_raise(format, sizeof(format) - 1, sizeof((mp_obj_t[]){ __VA_ARGS__ }) / sizeof(mp_obj_t), (mp_obj_t[]){ __VA_ARGS__ })
void tinyren_raise(const char *format, size_t length, size_t n, const mp_obj_t *values);

// The memory of a buffer of `wanted` bytes. Raises ValueError: another size; TypeError: no buffer that can be read, or written.
void *tinyren_get_buffer(mp_obj_t obj, int flags, qstr field, size_t wanted);

#endif
