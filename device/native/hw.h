// What a board's hardware file gives to the rest of the firmware. It knows nothing of Python.
//
// No interrupt handler runs anywhere: interrupts stay masked, a wait enables their sources and sleeps the core until one
// of them is pending, then clears it and looks at the devices. So there is nothing to lock and no race with Python.

#ifndef TINYREN_HW_H
#define TINYREN_HW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Once at boot, before anything below.
void hw_init(void);

// Microseconds since boot. Has to be called at least once in 71 minutes (every wait calls it).
uint64_t hw_now_us(void);

// Sleeps the core until a console byte waits, until a link byte waits (only with `link`), or for at most `ms`
// milliseconds (1..60000). May return early; the caller looks again.
void hw_wait(uint32_t ms, bool link);

// A link byte waits to be read.
bool hw_link_pending(void);

// Reads at most n bytes that have come over the link; 0 when there are none.
size_t hw_link_read(uint8_t *buf, size_t n);

// Writes at most n bytes to the link without waiting; returns how many it took.
size_t hw_link_write(const uint8_t *buf, size_t n);

// Fills buf with n random bytes fit for a key; false when the board's source does not answer.
bool hw_entropy(uint8_t *buf, size_t n);

// Starts the board's watchdog, or feeds it: the board is reset once nobody has called for `ms` milliseconds (1..60000). 0
// stops it, for a person at the console. False when the board has none.
bool hw_watchdog(uint32_t ms);

// Resets processor and devices; RAM stays as it is.
void hw_reset(void) __attribute__((noreturn));

// HW_RETAINED_BYTES of RAM, at a word's address, that neither a reset nor what starts the firmware writes to.
#define HW_RETAINED_BYTES 4096
void *hw_retained(void);

#endif
