// The module `_tinyren`: what the agent needs of a board and Python does not give. It checks sizes; the rest is in the files
// that it calls.

#include "py/mphal.h"
#include "py/objstr.h"
#include "py/runtime.h"
#include "extmod/modmachine.h"

#include "console.h"
#include "hw.h"
#include "mod_curve.h"
#include "mod_edil.h"
#include "mod_model.h"
#include "reset.h"
#include "secp.h"
#include "tinyren_board.h"

#define TICKS_MASK ((1u << 30) - 1)
#define WAIT_US_MAX 60000000u
#define WATCHDOG_MS_MAX 60000

static void fill_entropy(uint8_t *buf, size_t n) {
    if (!hw_entropy(buf, n)) {
        mp_raise_msg(&mp_type_OSError, MP_ERROR_TEXT("the board's entropy source does not answer"));
    }
}

void tinyren_need_curve(void) {
    static bool done;
    if (!done) {
        uint8_t seed[32];
        fill_entropy(seed, sizeof(seed));
        done = ren_secp_init(seed);
        if (!done) {
            mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("libsecp256k1 refuses to start"));
        }
    }
}

// Whole milliseconds are split off in 32 bits: libgcc's 64-bit division drags Arm unwind tables into the firmware.
static mp_obj_t tinyren_ticks_ms(void) {
    static uint64_t counted_us;
    static uint32_t ms;
    uint32_t more_ms = (uint32_t)(hw_now_us() - counted_us) / 1000;
    counted_us += (uint64_t)more_ms * 1000;
    ms += more_ms;
    return MP_OBJ_NEW_SMALL_INT(ms & TICKS_MASK);
}
static MP_DEFINE_CONST_FUN_OBJ_0(tinyren_ticks_ms_obj, tinyren_ticks_ms);

static mp_obj_t tinyren_ticks_us(void) {
    return MP_OBJ_NEW_SMALL_INT((uint32_t)hw_now_us() & TICKS_MASK);
}
static MP_DEFINE_CONST_FUN_OBJ_0(tinyren_ticks_us_obj, tinyren_ticks_us);

// idle(ms): sleeps until a link byte waits, a console byte comes, or ms milliseconds have passed.
static mp_obj_t tinyren_idle(mp_obj_t ms_in) {
    mp_int_t ms = mp_obj_get_int(ms_in);
    uint64_t end_us = hw_now_us() + (uint64_t)(ms > 0 ? ms : 0) * 1000;
    for (;;) {
        bool typed = console_poll();
        mp_handle_pending(true);
        uint64_t now_us = hw_now_us();
        if (typed || hw_link_pending() || now_us >= end_us) {
            return mp_const_none;
        }
        uint32_t left_us = MIN(end_us - now_us, WAIT_US_MAX);
        hw_wait((left_us + 999) / 1000, true);
    }
}
static MP_DEFINE_CONST_FUN_OBJ_1(tinyren_idle_obj, tinyren_idle);

static mp_obj_t tinyren_entropy(mp_obj_t buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_WRITE);
    fill_entropy(info.buf, info.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(tinyren_entropy_obj, tinyren_entropy);

// watchdog(ms): from now on the board is reset once nobody has called this for ms milliseconds; 0 stops it.
static mp_obj_t tinyren_watchdog(mp_obj_t ms_in) {
    mp_int_t ms = mp_obj_get_int(ms_in);
    if (ms < 0 || ms > WATCHDOG_MS_MAX) {
        mp_raise_msg_varg(&mp_type_ValueError, MP_ERROR_TEXT("ms: got %d, wanted 0..%d"), (int)ms, WATCHDOG_MS_MAX);
    }
    if (!reset_watchdog(ms)) {
        mp_raise_msg(&mp_type_OSError, MP_ERROR_TEXT("the board has no watchdog"));
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(tinyren_watchdog_obj, tinyren_watchdog);

static const qstr reset_names[] = { MP_QSTR_power, MP_QSTR_watchdog, MP_QSTR_asked, MP_QSTR_error };

static mp_obj_t tinyren_reset_reason(void) {
    return MP_OBJ_NEW_QSTR(reset_names[reset_reason()]);
}
static MP_DEFINE_CONST_FUN_OBJ_0(tinyren_reset_reason_obj, tinyren_reset_reason);

// reset(reason): "asked" or "error", as the next boot's reset_reason() will say. RAM is kept.
static mp_obj_t tinyren_reset(mp_obj_t reason_in) {
    qstr reason = mp_obj_str_get_qstr(reason_in);
    if (reason != MP_QSTR_asked && reason != MP_QSTR_error) {
        mp_raise_ValueError(MP_ERROR_TEXT("reason: got another, wanted asked or error"));
    }
    reset_now(reason == MP_QSTR_asked ? RESET_ASKED : RESET_ERROR);
}
static MP_DEFINE_CONST_FUN_OBJ_1(tinyren_reset_obj, tinyren_reset);

// retained(): a bytearray, the same each time, of RAM that only a cold start clears.
static mp_obj_t tinyren_retained(void) {
    return mp_obj_new_bytearray_by_ref(RESET_RETAINED_BYTES, reset_retained());
}
static MP_DEFINE_CONST_FUN_OBJ_0(tinyren_retained_obj, tinyren_retained);

static mp_obj_t tinyren_link_read(mp_obj_t buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_WRITE);
    return MP_OBJ_NEW_SMALL_INT(hw_link_read(info.buf, info.len));
}
static MP_DEFINE_CONST_FUN_OBJ_1(tinyren_link_read_obj, tinyren_link_read);

static mp_obj_t tinyren_link_write(mp_obj_t buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_READ);
    return MP_OBJ_NEW_SMALL_INT(hw_link_write(info.buf, info.len));
}
static MP_DEFINE_CONST_FUN_OBJ_1(tinyren_link_write_obj, tinyren_link_write);

static const MP_DEFINE_STR_OBJ(board_obj, TINYREN_BOARD);
static const MP_DEFINE_STR_OBJ(core_obj, TINYREN_CORE);
static const MP_DEFINE_STR_OBJ(version_obj, TINYREN_VERSION);

static const mp_rom_map_elem_t tinyren_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__tinyren) },
    { MP_ROM_QSTR(MP_QSTR_BOARD), MP_ROM_PTR(&board_obj) },
    { MP_ROM_QSTR(MP_QSTR_CORE), MP_ROM_PTR(&core_obj) },
    { MP_ROM_QSTR(MP_QSTR_VERSION), MP_ROM_PTR(&version_obj) },
    { MP_ROM_QSTR(MP_QSTR_ticks_ms), MP_ROM_PTR(&tinyren_ticks_ms_obj) },
    { MP_ROM_QSTR(MP_QSTR_ticks_us), MP_ROM_PTR(&tinyren_ticks_us_obj) },
    { MP_ROM_QSTR(MP_QSTR_idle), MP_ROM_PTR(&tinyren_idle_obj) },
    { MP_ROM_QSTR(MP_QSTR_watchdog), MP_ROM_PTR(&tinyren_watchdog_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset_reason), MP_ROM_PTR(&tinyren_reset_reason_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&tinyren_reset_obj) },
    { MP_ROM_QSTR(MP_QSTR_retained), MP_ROM_PTR(&tinyren_retained_obj) },
    { MP_ROM_QSTR(MP_QSTR_entropy), MP_ROM_PTR(&tinyren_entropy_obj) },
    { MP_ROM_QSTR(MP_QSTR_keccak256), MP_ROM_PTR(&tinyren_keccak256_obj) },
    { MP_ROM_QSTR(MP_QSTR_pubkey), MP_ROM_PTR(&tinyren_pubkey_obj) },
    { MP_ROM_QSTR(MP_QSTR_sign), MP_ROM_PTR(&tinyren_sign_obj) },
    { MP_ROM_QSTR(MP_QSTR_ecdh), MP_ROM_PTR(&tinyren_ecdh_obj) },
    { MP_ROM_QSTR(MP_QSTR_recover), MP_ROM_PTR(&tinyren_recover_obj) },
    { MP_ROM_QSTR(MP_QSTR_encrypt), MP_ROM_PTR(&tinyren_encrypt_obj) },
    { MP_ROM_QSTR(MP_QSTR_add_moments), MP_ROM_PTR(&tinyren_add_moments_obj) },
    { MP_ROM_QSTR(MP_QSTR_link_read), MP_ROM_PTR(&tinyren_link_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_link_write), MP_ROM_PTR(&tinyren_link_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_Model), MP_ROM_PTR(&tinyren_model_type) },
    #if MICROPY_PY_MACHINE_I2C
    { MP_ROM_QSTR(MP_QSTR_I2C), MP_ROM_PTR(&machine_i2c_type) },
    #endif
};
static MP_DEFINE_CONST_DICT(tinyren_globals, tinyren_globals_table);

const mp_obj_module_t tinyren_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&tinyren_globals,
};

MP_REGISTER_MODULE(MP_QSTR__tinyren, tinyren_module);
