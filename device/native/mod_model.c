// The type `_tinyren.Model`: an encoder that was compiled into an artifact (model.h). It keeps a reference to the artifact
// and its own arena; windows and embeddings are the caller's.

#include "py/runtime.h"

#include "model.h"
#include "mod_model.h"

typedef struct {
    mp_obj_base_t base;
    mp_obj_t artifact;
    const uint8_t *bytes;
    uint8_t *arena;
    ren_model_facts facts;
} model_obj_t;

// Only bytes, which cannot change after the check: a run checks nothing.
static mp_obj_t model_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    if (!mp_obj_is_type(args[0], &mp_type_bytes)) {
        mp_raise_TypeError(MP_ERROR_TEXT("artifact: wanted bytes"));
    }
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[0], &info, MP_BUFFER_READ);
    int error = ren_model_check(info.buf, info.len);
    if (error != REN_OK) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%s"), ren_model_error(error));
    }
    model_obj_t *self = mp_obj_malloc(model_obj_t, type);
    self->artifact = args[0];
    self->bytes = info.buf;
    ren_model_info(self->bytes, &self->facts);
    self->arena = m_new(uint8_t, self->facts.arena_bytes);
    return MP_OBJ_FROM_PTR(self);
}

static void get_buffer(mp_obj_t obj, mp_buffer_info_t *info, int flags, const char *field, size_t wanted) {
    mp_get_buffer_raise(obj, info, flags);
    if (info->len != wanted) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("%s: got %d bytes, wanted %d"), field, (int)info->len, (int)wanted);
    }
}

// run(window, out): int8[input_bytes] to int8[output_bytes]; they must not share memory.
static mp_obj_t model_run(mp_obj_t self_in, mp_obj_t window_in, mp_obj_t out_in) {
    model_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_buffer_info_t window, out;
    get_buffer(window_in, &window, MP_BUFFER_READ, "window", self->facts.input_bytes);
    get_buffer(out_in, &out, MP_BUFFER_WRITE, "out", self->facts.output_bytes);
    const uint8_t *in_start = window.buf, *out_start = out.buf;
    if (in_start < out_start + out.len && out_start < in_start + window.len) {
        mp_raise_ValueError(MP_ERROR_TEXT("out: shares memory with window"));
    }
    ren_model_run(self->bytes, window.buf, out.buf, self->arena);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(model_run_obj, model_run);

static void model_attr(mp_obj_t self_in, qstr attr, mp_obj_t *dest) {
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

static const mp_rom_map_elem_t model_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_run), MP_ROM_PTR(&model_run_obj) },
};
static MP_DEFINE_CONST_DICT(model_locals, model_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    tinyren_model_type,
    MP_QSTR_Model,
    MP_TYPE_FLAG_NONE,
    make_new, model_make_new,
    attr, model_attr,
    locals_dict, &model_locals
    );
