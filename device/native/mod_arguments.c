#include "mod_arguments.h"

// A native module cannot call mp_raise_msg_varg.
void tinyren_raise(const char *format, size_t length, size_t n, const mp_obj_t *values) {
    mp_obj_t text = mp_obj_new_str(format, length);
    mp_raise_type_arg(&mp_type_ValueError, mp_binary_op(MP_BINARY_OP_MODULO, text, mp_obj_new_tuple(n, values)));
}

void *tinyren_get_buffer(mp_obj_t obj, int flags, qstr field, size_t wanted) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(obj, &info, flags);
    if (info.len != wanted) {
        TINYREN_RAISE("%s: got %d bytes, wanted %d", MP_OBJ_NEW_QSTR(field), MP_OBJ_NEW_SMALL_INT(info.len),
            MP_OBJ_NEW_SMALL_INT(wanted));
    }
    return info.buf;
}
