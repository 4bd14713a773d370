// The native module `tinyren_curve` for stock MicroPython firmware: Keccak and the curve as `_tinyren` of our firmware has them,
// and `blind`, because this module has no source of entropy.

#include <string.h>

#include "mod_curve.h"
#include "secp.h"

#define SEED_BYTES 32

bool tinyren_is_blinded; // not static: mpy_ld.py wants what is zero at the start to be global

void tinyren_need_curve(void) {
    if (!tinyren_is_blinded) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("curve: is not blinded, call blind(32 random bytes) first"));
    }
}

// blind(seed): 32 random bytes, of which a copy is used, that hide what the curve computes with keys from side channels.
static mp_obj_t blind(mp_obj_t seed_in) {
    uint8_t seed[SEED_BYTES];
    memcpy(seed, tinyren_get_buffer(seed_in, MP_BUFFER_READ, MP_QSTR_seed, SEED_BYTES), SEED_BYTES);
    tinyren_is_blinded = ren_secp_init(seed);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(blind_obj, blind);

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_blind, MP_OBJ_FROM_PTR(&blind_obj));
    mp_store_global(MP_QSTR_keccak256, MP_OBJ_FROM_PTR(&tinyren_keccak256_obj));
    mp_store_global(MP_QSTR_pubkey, MP_OBJ_FROM_PTR(&tinyren_pubkey_obj));
    mp_store_global(MP_QSTR_sign, MP_OBJ_FROM_PTR(&tinyren_sign_obj));
    mp_store_global(MP_QSTR_ecdh, MP_OBJ_FROM_PTR(&tinyren_ecdh_obj));
    mp_store_global(MP_QSTR_recover, MP_OBJ_FROM_PTR(&tinyren_recover_obj));
    MP_DYNRUNTIME_INIT_EXIT
}
