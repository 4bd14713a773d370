// The functions of Keccak and of the curve, in `_tinyren` of our firmware and in the native module `tinyren_curve` (natmod/).

#ifndef TINYREN_MOD_CURVE_H
#define TINYREN_MOD_CURVE_H

#include "mod_arguments.h"

extern const mp_obj_fun_builtin_fixed_t tinyren_keccak256_obj, tinyren_pubkey_obj, tinyren_sign_obj, tinyren_ecdh_obj,
    tinyren_recover_obj;

// For whoever offers these functions to write: returns when ren_secp_init was good, and raises otherwise.
void tinyren_need_curve(void);

#endif
