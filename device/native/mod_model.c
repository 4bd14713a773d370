// The type `Model`: an encoder that was compiled into an artifact (model.h). It keeps a reference to the artifact and its
// own arena; windows and embeddings are the caller's. A run allocates nothing.

#include "mod_model.h"

#include "mod_arguments.h"
#include "model.h"

typedef struct {
    mp_obj_base_t base;
    mp_obj_t artifact;
    const uint8_t *bytes;
    uint8_t *arena;
    ren_model_facts facts;
} model_obj_t;

static void *memory_at(mp_obj_t address) {
    return (void *)(uintptr_t)mp_obj_get_int_truncated(address);
}

// Where the artifact lies. Model(artifact): bytes, which cannot change after the check, for a run checks nothing.
// Model(address, size[, arena]): memory that does not change, such as flash, in place, and the arena, too, where an
// address says; as with machine.mem32 nobody looks whether there is memory.
static void find_artifact(size_t n_args, const mp_obj_t *args, mp_buffer_info_t *info) {
    if (n_args > 1) {
        mp_int_t size = mp_obj_get_int(args[1]);
        info->buf = memory_at(args[0]);
        info->len = size < 0 ? 0 : size;
    } else if (mp_obj_get_type(args[0]) == &mp_type_bytes) {
        mp_get_buffer_raise(args[0], info, MP_BUFFER_READ);
    } else {
        mp_raise_TypeError(MP_ERROR_TEXT("artifact: wanted bytes"));
    }
}

mp_obj_t tinyren_model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 3, false);
    mp_buffer_info_t info;
    find_artifact(n_args, args, &info);
    int error = ren_model_check(info.buf, info.len);
    if (error != REN_OK) {
        mp_raise_msg(&mp_type_ValueError, (mp_rom_error_text_t)ren_model_error(error));
    }
    model_obj_t *self = mp_obj_malloc(model_obj_t, type);
    self->artifact = args[0];
    self->bytes = info.buf;
    ren_model_info(self->bytes, &self->facts);
    self->arena = n_args > 2 ? memory_at(args[2]) : m_new(uint8_t, self->facts.arena_bytes);
    return MP_OBJ_FROM_PTR(self);
}

// run(window, out): int8[input_bytes] to int8[output_bytes]; they must not share memory.
static mp_obj_t model_run(mp_obj_t self_in, mp_obj_t window_in, mp_obj_t out_in) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    const ren_model_facts *facts = &self->facts;
    const int8_t *window = tinyren_get_buffer(window_in, MP_BUFFER_READ, MP_QSTR_window, facts->input_bytes);
    int8_t *out = tinyren_get_buffer(out_in, MP_BUFFER_WRITE, MP_QSTR_out, facts->output_bytes);
    if (window < out + facts->output_bytes && out < window + facts->input_bytes) {
        mp_raise_ValueError(MP_ERROR_TEXT("out: shares memory with window"));
    }
    ren_model_run(self->bytes, window, out, self->arena);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_3(tinyren_model_run_obj, model_run);

void tinyren_model_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
    if (dest[0] != MP_OBJ_NULL) {
        return;
    }
    const ren_model_facts *facts = &((model_obj_t *)MP_OBJ_TO_PTR(self_in))->facts;
    if (attr == MP_QSTR_input_bytes) {
        dest[0] = MP_OBJ_NEW_SMALL_INT(facts->input_bytes);
    } else if (attr == MP_QSTR_output_bytes) {
        dest[0] = MP_OBJ_NEW_SMALL_INT(facts->output_bytes);
    } else if (attr == MP_QSTR_arena_bytes) {
        dest[0] = MP_OBJ_NEW_SMALL_INT(facts->arena_bytes);
    } else if (attr == MP_QSTR_cid) {
        dest[0] = mp_obj_new_bytes(facts->cid, REN_CID_BYTES);
    } else {
        dest[1] = MP_OBJ_SENTINEL;
    }
}

#if !MICROPY_ENABLE_DYNRUNTIME

static const mp_rom_map_elem_t model_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_run), MP_ROM_PTR(&tinyren_model_run_obj) },
};
static MP_DEFINE_CONST_DICT(model_locals, model_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    tinyren_model_type,
    MP_QSTR_Model,
    MP_TYPE_FLAG_NONE,
    make_new, tinyren_model_make_new,
    attr, tinyren_model_attr,
    locals_dict, &model_locals
    );

#endif
