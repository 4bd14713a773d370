// machine.reset and reset_cause as a Pico's: RAM is kept, a watchdog is told from power. A part of MicroPython's modmachine.c.

#include "hw.h"
#include "reset.h"

#define STANDIN_PWRON_RESET 1
#define STANDIN_WDT_RESET 3

extern const mp_obj_type_t standin_timer_type;

#define MICROPY_PY_MACHINE_EXTRA_GLOBALS \
    { MP_ROM_QSTR(MP_QSTR_Timer), MP_ROM_PTR(&standin_timer_type) }, \
    { MP_ROM_QSTR(MP_QSTR_PWRON_RESET), MP_ROM_INT(STANDIN_PWRON_RESET) }, \
    { MP_ROM_QSTR(MP_QSTR_WDT_RESET), MP_ROM_INT(STANDIN_WDT_RESET) },

static void mp_machine_idle(void) {
    hw_wait(1, false);
}

static void mp_machine_reset(void) {
    reset_now(RESET_ASKED);
}

// machine.reset() uses the watchdog there too.
static mp_int_t mp_machine_reset_cause(void) {
    return reset_reason() == RESET_POWER ? STANDIN_PWRON_RESET : STANDIN_WDT_RESET;
}
