// Public key, signature, recovery and key agreement by libsecp256k1, which is compiled into this file with the smallest tables
// it knows.
//
// The stack that the library used is overwritten after each use of a key (nonce and key lie there in the clear).
// Source: libsecp256k1 0.5.0, doc/safegcd_implementation.md and src/ecmult_gen.h for the table sizes; RFC 6979.

#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" // aux of ecmult_impl.h is read only where it was written

#define ECMULT_WINDOW_SIZE 2
#define COMB_BLOCKS 2
#define COMB_TEETH 5
#define ENABLE_MODULE_ECDH 1
#define ENABLE_MODULE_RECOVERY 1
#define USE_EXTERNAL_DEFAULT_CALLBACKS 1

#include "src/secp256k1.c"
#include "src/precomputed_ecmult.c"
#include "src/precomputed_ecmult_gen.c"

#include "secp.h"

// What the library takes of the stack, and a margin: 1.6 KB at most, and 4.2 KB for ecdh.
#define STACK_BYTES 2560
#define ECDH_STACK_BYTES 5120

struct secp256k1_context_struct ren_secp_context; // not static for natmod/, where nothing that changes may be

// Both report a misuse by this file or a broken build: there is nobody to raise to.
void secp256k1_default_illegal_callback_fn(const char *message, void *data) {
    (void)message;
    (void)data;
    exit(1);
}

void secp256k1_default_error_callback_fn(const char *message, void *data) {
    secp256k1_default_illegal_callback_fn(message, data);
}

void ren_secp_wipe(uint8_t *bytes, size_t n) {
    volatile uint8_t *place = bytes;
    while (n > 0) {
        place[--n] = 0;
    }
}

static void __attribute__((noinline)) wipe_stack(size_t n) {
    uint8_t below[n];
    ren_secp_wipe(below, n);
}

bool ren_secp_init(uint8_t seed[32]) {
    bool good = secp256k1_context_preallocated_create(&ren_secp_context, SECP256K1_CONTEXT_NONE)
        && secp256k1_context_randomize(&ren_secp_context, seed);
    ren_secp_wipe(seed, 32);
    wipe_stack(STACK_BYTES);
    return good;
}

bool ren_secp_pubkey(const uint8_t key[32], uint8_t point[65]) {
    secp256k1_pubkey pubkey;
    size_t size = 65;
    bool good = secp256k1_ec_pubkey_create(&ren_secp_context, &pubkey, key)
        && secp256k1_ec_pubkey_serialize(&ren_secp_context, point, &size, &pubkey, SECP256K1_EC_UNCOMPRESSED);
    wipe_stack(STACK_BYTES);
    return good;
}

bool ren_secp_sign(const uint8_t key[32], const uint8_t digest[32], uint8_t signature[65]) {
    secp256k1_ecdsa_recoverable_signature recoverable;
    int recovery_id = 0;
    bool good = secp256k1_ecdsa_sign_recoverable(&ren_secp_context, &recoverable, digest, key, NULL, NULL)
        && secp256k1_ecdsa_recoverable_signature_serialize_compact(&ren_secp_context, signature, &recovery_id, &recoverable);
    wipe_stack(STACK_BYTES);
    signature[64] = (uint8_t)recovery_id;
    return good;
}

bool ren_secp_ecdh(const uint8_t key[32], const uint8_t public[33], uint8_t shared[32]) {
    secp256k1_pubkey point;
    bool good = secp256k1_ec_pubkey_parse(&ren_secp_context, &point, public, 33)
        && secp256k1_ecdh(&ren_secp_context, shared, &point, key, NULL, NULL);
    wipe_stack(ECDH_STACK_BYTES);
    return good;
}

bool ren_secp_recover(const uint8_t digest[32], const uint8_t signature[65], uint8_t point[65]) {
    secp256k1_ecdsa_recoverable_signature recoverable;
    secp256k1_pubkey pubkey;
    size_t size = 65;
    return signature[64] < 4
        && secp256k1_ecdsa_recoverable_signature_parse_compact(&ren_secp_context, &recoverable, signature, signature[64])
        && secp256k1_ecdsa_recover(&ren_secp_context, &pubkey, &recoverable, digest)
        && secp256k1_ec_pubkey_serialize(&ren_secp_context, point, &size, &pubkey, SECP256K1_EC_UNCOMPRESSED);
}
