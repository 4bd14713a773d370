// The parts of the type `Model`: `_tinyren.Model` of our firmware, `tinyren_model.Model` of the native module (natmod/).

#ifndef TINYREN_MOD_MODEL_H
#define TINYREN_MOD_MODEL_H

#if MICROPY_ENABLE_DYNRUNTIME
#include "py/dynruntime.h"
#else
#include "py/runtime.h"

extern const mp_obj_type_t tinyren_model_type;
#endif

mp_obj_t tinyren_model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args);
void tinyren_model_attr(mp_obj_t self, qstr attr, mp_obj_t *dest);
extern const mp_obj_fun_builtin_fixed_t tinyren_model_run_obj;

#endif
