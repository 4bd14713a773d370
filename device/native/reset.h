// Why the board was reset, and RAM that a reset leaves as it was. It knows nothing of Python.

#ifndef TINYREN_RESET_H
#define TINYREN_RESET_H

#include <stdint.h>

#include "hw.h"

typedef enum { RESET_POWER, RESET_WATCHDOG, RESET_ASKED, RESET_ERROR } reset_reason_t;

#define RESET_HEAD_BYTES 16
#define RESET_RETAINED_BYTES (HW_RETAINED_BYTES - RESET_HEAD_BYTES)

// Why this boot happened. A warm reset that nobody announced is the watchdog's if it ran, else the power's (a reset button).
reset_reason_t reset_reason(void);

// RESET_RETAINED_BYTES of RAM that only a cold start clears.
uint8_t *reset_retained(void);

// Resets the board for a reason that the next boot finds. Does not return.
void reset_now(reset_reason_t reason) __attribute__((noreturn));

// Starts the watchdog or feeds it, as hw_watchdog; what it does is then its own.
bool reset_watchdog(uint32_t ms);

#endif
