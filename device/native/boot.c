// The firmware's main and its console: runs the frozen module `main`, then the REPL; Ctrl-C goes to the REPL, Ctrl-D starts
// again. MicroPython's QEMU port has a main of its own that knows only the REPL and a console that spins; the linker puts
// these in their place (--wrap), so that MicroPython's source stays as it is.

#include "py/cstack.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/frozenmod.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "shared/runtime/interrupt_char.h"
#include "shared/runtime/pyexec.h"
#include "uart.h"

#include "console.h"
#include "hw.h"
#include "tinyren_board.h"

#ifndef TINYREN_STACK_BYTES
#define TINYREN_STACK_BYTES (16 * 1024)
#endif

static uint8_t heap[TINYREN_HEAP_BYTES] __attribute__((aligned(16)));

static uint8_t input_bytes[256];
static ringbuf_t input = { input_bytes, sizeof(input_bytes), 0, 0 };

bool console_poll(void) {
    int c = uart_rx_chr();
    if (c < 0) {
        return false;
    }
    if (c == mp_interrupt_char) {
        mp_sched_keyboard_interrupt();
    } else {
        ringbuf_put(&input, c);
    }
    return true;
}

// Called by the bytecode loop at each backward jump (mpconfig_tinyren.h).
void tinyren_vm_hook(void) {
    static uint8_t jumps;
    if (++jumps == 0) {
        console_poll();
    }
}

int __wrap_mp_hal_stdin_rx_chr(void) {
    for (;;) {
        int c = ringbuf_get(&input);
        if (c >= 0) {
            return c;
        }
        c = uart_rx_chr();
        if (c >= 0) {
            return c;
        }
        hw_wait(60000, false);
    }
}

static void run_main(void) {
    int frozen_type;
    void *frozen_data;
    mp_find_frozen_module("main.py", &frozen_type, &frozen_data);
    if (frozen_type != MP_FROZEN_NONE) {
        pyexec_frozen_module("main.py", true);
    }
}

int __wrap_main(void) {
    hw_init();
    mp_cstack_init_with_sp_here(TINYREN_STACK_BYTES);
    gc_init(heap, heap + sizeof(heap));
    for (;;) {
        mp_init();
        if (pyexec_mode_kind == PYEXEC_MODE_FRIENDLY_REPL) {
            run_main();
            hw_watchdog(0); // who comes to the console may stay
        }
        while (!(pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl())) {
        }
        mp_printf(&mp_plat_print, "MPY: soft reboot\n");
        gc_sweep_all();
        mp_deinit();
    }
}
