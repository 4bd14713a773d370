// The functions `encrypt` and `add_moments`, in `_tinyren` of our firmware and in the native module `tinyren_edil` (natmod/).

#ifndef TINYREN_MOD_EDIL_H
#define TINYREN_MOD_EDIL_H

#include "mod_arguments.h"

extern const mp_obj_fun_builtin_var_t tinyren_encrypt_obj, tinyren_add_moments_obj;

#endif
