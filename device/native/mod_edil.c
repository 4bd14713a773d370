// EDIL's encryption for MicroPython: sizes, ranges and places are checked here; edil.c does the rest. Nothing is allocated.

#include "mod_edil.h"

#include "py/binary.h"

#include "edil.h"
#include "edil_ring.h"

#define CLIP_MAX 127

static uint32_t get_int(mp_obj_t obj, qstr field, mp_int_t most) {
    mp_int_t got = mp_obj_get_int(obj);
    if (got < 1 || got > most) {
        TINYREN_RAISE("%s: got %d, wanted 1..%d", MP_OBJ_NEW_QSTR(field), MP_OBJ_NEW_SMALL_INT(got), MP_OBJ_NEW_SMALL_INT(most));
    }
    return got;
}

// A buffer of int32: array('i'), or bytes at a multiple of 4.
static int32_t *get_int32(mp_obj_t obj, int flags, qstr field, mp_buffer_info_t *info) {
    mp_get_buffer_raise(obj, info, flags);
    bool is_int32 = info->typecode == 'i' || info->typecode == 'B' || info->typecode == BYTEARRAY_TYPECODE;
    if (!is_int32 || info->len % 4 || (uintptr_t)info->buf % 4) {
        TINYREN_RAISE("%s: got no 32-bit integers, wanted array('i')", MP_OBJ_NEW_QSTR(field));
    }
    return info->buf;
}

static void check_apart(const mp_buffer_info_t *work, const void *start, size_t length, qstr field) {
    const uint8_t *from = start, *work_from = work->buf;
    if (from < work_from + work->len && work_from < from + length) {
        TINYREN_RAISE("%s: shares memory with work", MP_OBJ_NEW_QSTR(field));
    }
}

static void get_keys(const mp_obj_t *args, ren_edil_message *message) {
    mp_buffer_info_t keys;
    mp_get_buffer_raise(args[0], &keys, MP_BUFFER_READ);
    message->holders = keys.len / REN_EDIL_KEY_BYTES;
    if (keys.len % REN_EDIL_KEY_BYTES || message->holders < 1 || message->holders > REN_EDIL_HOLDERS_MAX) {
        TINYREN_RAISE("s_keys: got %d bytes, wanted 32 for each of 1..4 holders", MP_OBJ_NEW_SMALL_INT(keys.len));
    }
    message->s_keys = keys.buf;
    message->a_key = tinyren_get_buffer(args[1], MP_BUFFER_READ, MP_QSTR_a_key, REN_EDIL_KEY_BYTES);
    message->noise = tinyren_get_buffer(args[2], MP_BUFFER_READ, MP_QSTR_noise, REN_EDIL_KEY_BYTES);
}

static void get_values(const mp_obj_t *args, uint32_t ring, ren_edil_message *message) {
    mp_buffer_info_t values;
    message->values = get_int32(args[0], MP_BUFFER_READ, MP_QSTR_values, &values);
    message->n = values.len / 4;
    message->digits = get_int(args[1], MP_QSTR_digits, REN_EDIL_DIGITS_MAX);
    message->count = get_int(args[2], MP_QSTR_count, REN_EDIL_COUNT_MAX);
    if (message->n > (ring - 2) / message->digits) {
        TINYREN_RAISE("values: got %d, wanted at most %d", MP_OBJ_NEW_SMALL_INT(message->n),
            MP_OBJ_NEW_SMALL_INT((ring - 2) / message->digits));
    }
    if (!ren_edil_fits(message->values, message->n, message->digits)) {
        TINYREN_RAISE("values: got one beyond what %d digits carry", MP_OBJ_NEW_SMALL_INT(message->digits));
    }
}

// encrypt(ring, s_keys, a_key, noise, values, digits, count, work): the ciphertext's bytes, the first ones of work.
static mp_obj_t encrypt(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t ring = mp_obj_get_int(args[0]);
    if (ring < 0 || !ren_ring_of(ring)) {
        TINYREN_RAISE("ring: got %d, wanted 1024, 2048 or 4096", args[0]);
    }
    ren_edil_message message;
    mp_buffer_info_t work;
    get_keys(args + 1, &message);
    get_values(args + 4, ring, &message);
    tinyren_get_buffer(args[7], MP_BUFFER_WRITE, MP_QSTR_work, 4 * ring);
    int32_t *target = get_int32(args[7], MP_BUFFER_WRITE, MP_QSTR_work, &work);
    check_apart(&work, message.s_keys, REN_EDIL_KEY_BYTES * message.holders, MP_QSTR_s_keys);
    check_apart(&work, message.a_key, REN_EDIL_KEY_BYTES, MP_QSTR_a_key);
    check_apart(&work, message.noise, REN_EDIL_KEY_BYTES, MP_QSTR_noise);
    check_apart(&work, message.values, 4 * message.n, MP_QSTR_values);
    return MP_OBJ_NEW_SMALL_INT(ren_edil_encrypt(ring, &message, target));
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(tinyren_encrypt_obj, 8, 8, encrypt);

// add_moments(sums, z, x, clip): adds one window's statistics to sums.
static mp_obj_t add_moments(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_buffer_info_t sums, z, x;
    mp_get_buffer_raise(args[1], &z, MP_BUFFER_READ);
    mp_get_buffer_raise(args[2], &x, MP_BUFFER_READ);
    int32_t clip = get_int(args[3], MP_QSTR_clip, CLIP_MAX);
    if (z.len == 0) {
        TINYREN_RAISE("%s: got no values, wanted an embedding", MP_OBJ_NEW_QSTR(MP_QSTR_z));
    }
    tinyren_get_buffer(args[0], MP_BUFFER_WRITE, MP_QSTR_sums, 4 * ren_edil_moments(z.len, x.len));
    ren_edil_add_moments(get_int32(args[0], MP_BUFFER_WRITE, MP_QSTR_sums, &sums), z.buf, z.len, x.buf, x.len, clip);
    return mp_const_none;
}
MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(tinyren_add_moments_obj, 4, 4, add_moments);
