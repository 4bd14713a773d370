// machine.WDT over the emulated machine's watchdog; a part of MicroPython's machine_wdt.c. Once started it cannot be stopped.

#include "py/runtime.h"

#include "reset.h"

#define STANDIN_WDT_MS_MAX 8388 // a Pico's

typedef struct _machine_wdt_obj_t {
    mp_obj_base_t base;
    uint32_t ms;
} machine_wdt_obj_t;

static machine_wdt_obj_t standin_wdt = { { &machine_wdt_type }, 0 };

static void mp_machine_wdt_feed(machine_wdt_obj_t *self) {
    reset_watchdog(self->ms);
}

static machine_wdt_obj_t *mp_machine_wdt_make_new_instance(mp_int_t id, mp_int_t timeout_ms) {
    if (id != 0 || timeout_ms < 1 || timeout_ms > STANDIN_WDT_MS_MAX) {
        mp_raise_ValueError(NULL);
    }
    standin_wdt.ms = timeout_ms;
    mp_machine_wdt_feed(&standin_wdt);
    return &standin_wdt;
}
