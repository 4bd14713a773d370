// Keccak and the curve for MicroPython: sizes are checked here; keccak.c and secp.c do the rest.

#include "mod_curve.h"

#include "keccak.h"
#include "secp.h"

static void raise_bad_key(void) {
    mp_raise_ValueError(MP_ERROR_TEXT("key: got 0 or n or more, wanted 1..n-1"));
}

static const uint8_t *get_bytes(mp_obj_t obj, qstr field, size_t wanted) {
    return tinyren_get_buffer(obj, MP_BUFFER_READ, field, wanted);
}

static mp_obj_t keccak256(mp_obj_t data) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(data, &info, MP_BUFFER_READ);
    uint8_t digest[32];
    ren_keccak256(info.buf, info.len, digest);
    return mp_obj_new_bytes(digest, sizeof(digest));
}
MP_DEFINE_CONST_FUN_OBJ_1(tinyren_keccak256_obj, keccak256);

static mp_obj_t pubkey(mp_obj_t key_in) {
    const uint8_t *key = get_bytes(key_in, MP_QSTR_key, 32);
    uint8_t point[65];
    tinyren_need_curve();
    if (!ren_secp_pubkey(key, point)) {
        raise_bad_key();
    }
    return mp_obj_new_bytes(point, sizeof(point));
}
MP_DEFINE_CONST_FUN_OBJ_1(tinyren_pubkey_obj, pubkey);

static mp_obj_t sign(mp_obj_t key_in, mp_obj_t digest_in) {
    const uint8_t *key = get_bytes(key_in, MP_QSTR_key, 32);
    const uint8_t *digest = get_bytes(digest_in, MP_QSTR_digest, 32);
    uint8_t signature[65];
    tinyren_need_curve();
    if (!ren_secp_sign(key, digest, signature)) {
        raise_bad_key();
    }
    return mp_obj_new_bytes(signature, sizeof(signature));
}
MP_DEFINE_CONST_FUN_OBJ_2(tinyren_sign_obj, sign);

static mp_obj_t ecdh(mp_obj_t key_in, mp_obj_t public_in) {
    const uint8_t *key = get_bytes(key_in, MP_QSTR_key, 32);
    const uint8_t *public = get_bytes(public_in, MP_QSTR_public, 33);
    uint8_t shared[32];
    tinyren_need_curve();
    if (!ren_secp_ecdh(key, public, shared)) {
        mp_raise_ValueError(MP_ERROR_TEXT("public: got no point, or key: got 0 or n or more"));
    }
    mp_obj_t made = mp_obj_new_bytes(shared, sizeof(shared));
    ren_secp_wipe(shared, sizeof(shared));
    return made;
}
MP_DEFINE_CONST_FUN_OBJ_2(tinyren_ecdh_obj, ecdh);

static mp_obj_t recover(mp_obj_t digest_in, mp_obj_t signature_in) {
    const uint8_t *digest = get_bytes(digest_in, MP_QSTR_digest, 32);
    const uint8_t *signature = get_bytes(signature_in, MP_QSTR_signature, 65);
    uint8_t point[65];
    tinyren_need_curve();
    if (!ren_secp_recover(digest, signature, point)) {
        mp_raise_ValueError(MP_ERROR_TEXT("signature: got one of no key, wanted r, s and 0..3"));
    }
    return mp_obj_new_bytes(point, sizeof(point));
}
MP_DEFINE_CONST_FUN_OBJ_2(tinyren_recover_obj, recover);
