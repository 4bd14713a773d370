// libsecp256k1 of a native module. It is compiled as a whole program (Makefile), so that what the functions below do not call is
// left out: mpy_ld.py keeps whatever an object holds.

#include "secp.h"

#define KEEP(name) extern __typeof__(name) name __attribute__((externally_visible))
KEEP(ren_secp_init);
KEEP(ren_secp_pubkey);
KEEP(ren_secp_sign);
KEEP(ren_secp_ecdh);
KEEP(ren_secp_recover);
KEEP(ren_secp_wipe);
extern struct secp256k1_context_struct ren_secp_context __attribute__((externally_visible));

#include "secp.c"
