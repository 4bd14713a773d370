// Why the board was reset, told by four words at the head of the retained RAM: a mark, what was announced, its complement, and
// nothing. They are written before a reset and read once after it; what has not both mark and complement is a cold start.

#include "reset.h"

#include <string.h>

#define MARK 0x7472a55au

typedef struct {
    volatile uint32_t mark, announced, complement, unused;
    uint8_t bytes[RESET_RETAINED_BYTES];
} retained_t;

static bool is_known;
static reset_reason_t reason;

static retained_t *retained(void) {
    return hw_retained();
}

static void announce(reset_reason_t what) {
    retained()->announced = what;
    retained()->complement = ~(uint32_t)what;
    retained()->mark = MARK;
}

// The first who asks reads the head, before anybody writes it; then an unannounced reset is the power's.
static void look_once(void) {
    if (is_known) {
        return;
    }
    is_known = true;
    uint32_t announced = retained()->announced;
    if (retained()->mark == MARK && retained()->complement == ~announced && announced <= RESET_ERROR) {
        reason = announced;
    } else {
        reason = RESET_POWER;
        memset(retained()->bytes, 0, RESET_RETAINED_BYTES);
    }
    announce(RESET_POWER);
}

reset_reason_t reset_reason(void) {
    look_once();
    return reason;
}

uint8_t *reset_retained(void) {
    look_once();
    return retained()->bytes;
}

void reset_now(reset_reason_t why) {
    announce(why);
    hw_reset();
}

bool reset_watchdog(uint32_t ms) {
    look_once();
    announce(ms ? RESET_WATCHDOG : RESET_POWER);
    return hw_watchdog(ms);
}

// MicroPython's QEMU port ends itself where it would reset (machine.reset) or cannot go on (a fault, a failed assertion).
void __wrap_exit(int status) {
    reset_now(status ? RESET_ERROR : RESET_ASKED);
}
