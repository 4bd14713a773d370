// The native module `tinyren_model` for stock MicroPython firmware: the type `Model` and nothing else. A native module's
// data must be constant or zero at the start, so the type is filled in when the module is imported.

#include "mod_model.h"

mp_obj_full_type_t model_type;
mp_map_elem_t model_locals_table[1];
mp_obj_dict_t model_locals;

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    MP_DYNRUNTIME_INIT_ENTRY

    model_locals_table[0] = (mp_map_elem_t) { MP_OBJ_NEW_QSTR(MP_QSTR_run), MP_OBJ_FROM_PTR(&tinyren_model_run_obj) };
    model_locals.base.type = (void *)&mp_type_dict;
    model_locals.map.is_fixed = 1;
    model_locals.map.used = model_locals.map.alloc = 1;
    model_locals.map.table = model_locals_table;

    model_type.base.type = (void *)&mp_type_type;
    model_type.flags = MP_TYPE_FLAG_NONE;
    model_type.name = MP_QSTR_Model;
    MP_OBJ_TYPE_SET_SLOT(&model_type, make_new, tinyren_model_make_new, 0);
    MP_OBJ_TYPE_SET_SLOT(&model_type, attr, tinyren_model_attr, 1);
    MP_OBJ_TYPE_SET_SLOT(&model_type, locals_dict, &model_locals, 2);
    mp_store_global(MP_QSTR_Model, MP_OBJ_FROM_PTR(&model_type));

    MP_DYNRUNTIME_INIT_EXIT
}
