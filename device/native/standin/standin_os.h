// os.urandom, from the emulated machine's source; a part of MicroPython's modos.c.

#include "py/mperrno.h"
#include "py/runtime.h"

#include "hw.h"

static mp_obj_t mp_os_urandom(mp_obj_t num) {
    vstr_t bytes;
    vstr_init_len(&bytes, mp_obj_get_int(num));
    if (!hw_entropy((uint8_t *)bytes.buf, bytes.len)) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_obj_new_bytes_from_vstr(&bytes);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mp_os_urandom_obj, mp_os_urandom);
