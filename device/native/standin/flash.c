// The block device of the stand-in's file system, on memory that a reset of it keeps; a Pico's rp2.Flash has its frames on the
// stack, not Python's. Writing needs no erasing.

#include <string.h>

#include "extmod/vfs.h"
#include "py/runtime.h"

#define BLOCK_BYTES 4096
#define BLOCKS 212 // a Pico W's

static uint8_t *place(const mp_obj_t *args, size_t n_args, const mp_buffer_info_t *buffer) {
    size_t at = mp_obj_get_int(args[1]) * BLOCK_BYTES + (n_args == 4 ? mp_obj_get_int(args[3]) : 0);
    if (at > BLOCKS * BLOCK_BYTES || buffer->len > BLOCKS * BLOCK_BYTES - at) {
        mp_raise_ValueError(NULL);
    }
    return (uint8_t *)STANDIN_FLASH_ADDRESS + at;
}

static mp_obj_t readblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_WRITE);
    memcpy(buffer.buf, place(args, n_args, &buffer), buffer.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(readblocks_obj, 3, 4, readblocks);

static mp_obj_t writeblocks(size_t n_args, const mp_obj_t *args) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(args[2], &buffer, MP_BUFFER_READ);
    memcpy(place(args, n_args, &buffer), buffer.buf, buffer.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(writeblocks_obj, 3, 4, writeblocks);

static mp_obj_t ioctl(mp_obj_t self, mp_obj_t operation, mp_obj_t argument) {
    switch (mp_obj_get_int(operation)) {
        case MP_BLOCKDEV_IOCTL_BLOCK_COUNT:
            return MP_OBJ_NEW_SMALL_INT(BLOCKS);
        case MP_BLOCKDEV_IOCTL_BLOCK_SIZE:
            return MP_OBJ_NEW_SMALL_INT(BLOCK_BYTES);
        default:
            return MP_OBJ_NEW_SMALL_INT(0);
    }
}
static MP_DEFINE_CONST_FUN_OBJ_3(ioctl_obj, ioctl);

static const mp_rom_map_elem_t locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_readblocks), MP_ROM_PTR(&readblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_writeblocks), MP_ROM_PTR(&writeblocks_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&ioctl_obj) },
};
static MP_DEFINE_CONST_DICT(locals, locals_table);
MP_DEFINE_CONST_OBJ_TYPE(standin_flash_type, MP_QSTR_Flash, MP_TYPE_FLAG_NONE, locals_dict, &locals);

static const mp_obj_base_t standin_flash = { &standin_flash_type };

static const mp_rom_map_elem_t module_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_standin) },
    { MP_ROM_QSTR(MP_QSTR_flash), MP_ROM_PTR(&standin_flash) },
};
static MP_DEFINE_CONST_DICT(module_globals, module_table);
const mp_obj_module_t standin_module = { { &mp_type_module }, (mp_obj_dict_t *)&module_globals };
MP_REGISTER_MODULE(MP_QSTR_standin, standin_module);
