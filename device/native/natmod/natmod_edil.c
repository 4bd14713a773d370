// The native module `tinyren_edil` for stock MicroPython firmware: `encrypt` and `add_moments`, and nothing else.

#include "mod_edil.h"

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_encrypt, MP_OBJ_FROM_PTR(&tinyren_encrypt_obj));
    mp_store_global(MP_QSTR_add_moments, MP_OBJ_FROM_PTR(&tinyren_add_moments_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
