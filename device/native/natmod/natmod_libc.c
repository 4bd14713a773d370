// What native modules use of a C library.

#include "py/dynruntime.h"

void *memcpy(void *to, const void *from, size_t n) {
    return mp_fun_table.memmove_(to, from, n);
}

void *memmove(void *to, const void *from, size_t n) {
    return mp_fun_table.memmove_(to, from, n);
}

void *memset(void *to, int value, size_t n) {
    return mp_fun_table.memset_(to, value, n);
}

int memcmp(const void *left, const void *right, size_t n) {
    const uint8_t *a = left, *b = right;
    for (; n; n--, a++, b++) {
        if (*a != *b) {
            return *a - *b;
        }
    }
    return 0;
}

// Only libsecp256k1 calls it, when it finds itself misused or broken.
void exit(int code) {
    (void)code;
    mp_raise_msg(&mp_type_RuntimeError, "libsecp256k1 gives up");
    for (;;) {
    }
}
