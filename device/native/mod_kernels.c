// The module `_tinyren` of a board that runs the kernels and no agent: which board it is, the type `Model`, and EDIL's
// encryption.

#include "py/objstr.h"
#include "py/runtime.h"

#include "mod_edil.h"
#include "mod_model.h"
#include "tinyren_board.h"

static const MP_DEFINE_STR_OBJ(board_obj, TINYREN_BOARD);
static const MP_DEFINE_STR_OBJ(core_obj, TINYREN_CORE);
static const MP_DEFINE_STR_OBJ(version_obj, TINYREN_VERSION);

static const mp_rom_map_elem_t tinyren_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__tinyren) },
    { MP_ROM_QSTR(MP_QSTR_BOARD), MP_ROM_PTR(&board_obj) },
    { MP_ROM_QSTR(MP_QSTR_CORE), MP_ROM_PTR(&core_obj) },
    { MP_ROM_QSTR(MP_QSTR_VERSION), MP_ROM_PTR(&version_obj) },
    { MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&tinyren_model_type) },
    { MP_ROM_QSTR(MP_QSTR_encrypt), MP_ROM_PTR(&tinyren_encrypt_obj) },
    { MP_ROM_QSTR(MP_QSTR_add_moments), MP_ROM_PTR(&tinyren_add_moments_obj) },
};
static MP_DEFINE_CONST_DICT(tinyren_globals, tinyren_globals_table);

const mp_obj_module_t tinyren_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&tinyren_globals,
};
MP_REGISTER_MODULE(MP_QSTR__tinyren, tinyren_module);
