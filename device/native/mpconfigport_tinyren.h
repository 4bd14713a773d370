// MicroPython's QEMU port without what compiles Python to machine code: nothing on a device uses it, 14 KB of flash.

#include <mpconfigport.h>

#undef MICROPY_EMIT_THUMB
#undef MICROPY_EMIT_INLINE_THUMB
#undef MICROPY_EMIT_RV32
#undef MICROPY_EMIT_INLINE_RV32
