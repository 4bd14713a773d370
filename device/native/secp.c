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
#define USE_EXTERNAL_DEFAULT_CALLBACKS 1

#include "src/secp256k1.c"
#include "src/precomputed_ecmult.c"
#include "src/precomputed_ecmult_gen.c"

#include "secp.h"

// What this marks is not merged into its caller: so wipe_stack reaches its frame, and frames lie one below the other only where
// one needs the other. Boards have 8 KiB for C and Python together.
#define APART __attribute__((noinline))

struct secp256k1_context_struct ren_secp_context; // not static for natmod/, where nothing that changes may be

// q * A without a table, where the library's own takes 2.7 KB of stack: the sum of A or -A, 2^i times, for each bit i of
// (q + 2^256 - 1) / 2 mod n. Every turn doubles and adds whatever the bit, by the library's complete formulas.
static APART void multiply(secp256k1_gej *r, const secp256k1_ge *a, const secp256k1_scalar *q) {
    static const secp256k1_scalar ones = SECP256K1_SCALAR_CONST(
        0, 0, 0, 1, 0x45512319, 0x50b75fc4, 0x402da173, 0x2fc9bebe); // 2^256 - 1 mod n
    secp256k1_scalar signs;
    secp256k1_ge term = *a;
    secp256k1_fe opposite;
    secp256k1_scalar_add(&signs, q, &ones);
    secp256k1_scalar_half(&signs, &signs);
    secp256k1_gej_set_infinity(r);
    for (int i = 255; i >= 0; i--) {
        secp256k1_fe_negate(&opposite, &a->y, SECP256K1_GE_Y_MAGNITUDE_MAX - 1); // both callers' points are of 2 at most
        term.y = a->y;
        secp256k1_fe_cmov(&term.y, &opposite, !secp256k1_scalar_get_bits_limb32(&signs, i, 1));
        secp256k1_gej_double(r, r);
        secp256k1_gej_add_ge(r, r, &term);
    }
}

// na * A + ng * G for recovery, whose A has z = 1.
static APART void multiply_both(
    secp256k1_gej *r, const secp256k1_gej *a, const secp256k1_scalar *na, const secp256k1_scalar *ng) {
    secp256k1_gej of_g;
    secp256k1_ge point;
    secp256k1_ge_set_xy(&point, &a->x, &a->y);
    multiply(r, &point, na);
    secp256k1_ecmult_gen(&ren_secp_context.ecmult_gen_ctx, &of_g, ng);
    secp256k1_gej_add_var(r, r, &of_g, NULL);
}

// Its frame is not below that of multiply then.
static APART void secp256k1_gej_add_var(secp256k1_gej *, const secp256k1_gej *, const secp256k1_gej *, secp256k1_fe *);
#define secp256k1_ecmult_const multiply
#define secp256k1_ecmult multiply_both
#include "src/modules/ecdh/main_impl.h"
#include "src/modules/recovery/main_impl.h"

// What the library takes of the stack below the functions at the end of this file, 1.9 KB at most, and a margin.
#define STACK_BYTES 2048

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

static APART void wipe_stack(void) {
    uint8_t below[STACK_BYTES];
    ren_secp_wipe(below, sizeof(below));
}

static APART bool make_context(const uint8_t seed[32]) {
    return secp256k1_context_preallocated_create(&ren_secp_context, SECP256K1_CONTEXT_NONE)
        && secp256k1_context_randomize(&ren_secp_context, seed);
}

static APART bool make_pubkey(const uint8_t key[32], uint8_t point[65]) {
    secp256k1_pubkey pubkey;
    size_t size = 65;
    return secp256k1_ec_pubkey_create(&ren_secp_context, &pubkey, key)
        && secp256k1_ec_pubkey_serialize(&ren_secp_context, point, &size, &pubkey, SECP256K1_EC_UNCOMPRESSED);
}

static APART bool make_signature(const uint8_t key[32], const uint8_t digest[32], uint8_t signature[65]) {
    secp256k1_ecdsa_recoverable_signature recoverable;
    int recovery_id = 0;
    bool good = secp256k1_ecdsa_sign_recoverable(&ren_secp_context, &recoverable, digest, key, NULL, NULL)
        && secp256k1_ecdsa_recoverable_signature_serialize_compact(&ren_secp_context, signature, &recovery_id, &recoverable);
    signature[64] = (uint8_t)recovery_id;
    return good;
}

static APART bool agree(const uint8_t key[32], const uint8_t public[33], uint8_t shared[32]) {
    secp256k1_pubkey point;
    return secp256k1_ec_pubkey_parse(&ren_secp_context, &point, public, 33)
        && secp256k1_ecdh(&ren_secp_context, shared, &point, key, NULL, NULL);
}

bool ren_secp_init(uint8_t seed[32]) {
    bool good = make_context(seed);
    ren_secp_wipe(seed, 32);
    wipe_stack();
    return good;
}

bool ren_secp_pubkey(const uint8_t key[32], uint8_t point[65]) {
    bool good = make_pubkey(key, point);
    wipe_stack();
    return good;
}

bool ren_secp_sign(const uint8_t key[32], const uint8_t digest[32], uint8_t signature[65]) {
    bool good = make_signature(key, digest, signature);
    wipe_stack();
    return good;
}

bool ren_secp_ecdh(const uint8_t key[32], const uint8_t public[33], uint8_t shared[32]) {
    bool good = agree(key, public, shared);
    wipe_stack();
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
