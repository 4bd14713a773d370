// The main and the console of the stand-in: it runs _boot.py (frozen), boot.py and main.py (files), then the REPL, as MicroPython
// does on boards of silicon, and waits asleep. Of the agent there is nothing here.

#include "py/cstack.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/ringbuf.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "shared/runtime/interrupt_char.h"
#include "shared/runtime/pyexec.h"
#include "uart.h"

#include "hw.h"
#include "stack.h"

#define INPUT_BYTES 1024
#define WAIT_MS 500 // so that a timer is late by no more

static uint8_t heap[STANDIN_HEAP_BYTES] __attribute__((aligned(16)));

static uint8_t input_bytes[INPUT_BYTES];
static ringbuf_t input = { input_bytes, sizeof(input_bytes), 0, 0 };

// machine.Timer: one, periodic, whose callback is scheduled.
static uint32_t timer_period_ms, timer_due_ms;

MP_REGISTER_ROOT_POINTER(mp_obj_t standin_timer);

static mp_obj_t timer_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    return mp_obj_malloc(mp_obj_base_t, type);
}

static mp_obj_t timer_init(size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    static const mp_arg_t allowed[] = {
        { MP_QSTR_period, MP_ARG_KW_ONLY | MP_ARG_REQUIRED | MP_ARG_INT, { 0 } },
        { MP_QSTR_callback, MP_ARG_KW_ONLY | MP_ARG_REQUIRED | MP_ARG_OBJ, { 0 } },
    };
    mp_arg_val_t args[MP_ARRAY_SIZE(allowed)];
    mp_arg_parse_all(n_args - 1, pos_args + 1, kw_args, MP_ARRAY_SIZE(allowed), allowed, args);
    timer_period_ms = args[0].u_int;
    timer_due_ms = mp_hal_ticks_ms() + timer_period_ms;
    MP_STATE_VM(standin_timer) = args[1].u_obj;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_KW(timer_init_obj, 1, timer_init);

static const mp_rom_map_elem_t timer_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_init), MP_ROM_PTR(&timer_init_obj) },
};
static MP_DEFINE_CONST_DICT(timer_locals, timer_locals_table);
MP_DEFINE_CONST_OBJ_TYPE(
    standin_timer_type, MP_QSTR_Timer, MP_TYPE_FLAG_NONE, make_new, timer_make_new, locals_dict, &timer_locals);

static void tick_timer(void) {
    if (timer_period_ms && (int32_t)(mp_hal_ticks_ms() - timer_due_ms) >= 0) {
        timer_due_ms += timer_period_ms;
        mp_sched_schedule(MP_STATE_VM(standin_timer), mp_const_none);
    }
}

// A full ring leaves bytes in the UART, whose other end waits, as that of a USB cable does.
static bool poll_console(void) {
    tick_timer();
    if (!ringbuf_free(&input)) {
        return true;
    }
    int c = uart_rx_chr();
    if (c < 0) {
        return ringbuf_avail(&input);
    }
    if (c == mp_interrupt_char) {
        mp_sched_keyboard_interrupt();
    } else {
        ringbuf_put(&input, c);
    }
    return true;
}

void standin_vm_hook(void) {
    static uint8_t jumps;
    if (++jumps == 0) {
        poll_console();
    }
}

// Asleep for at most ms (-1: any time), or until a byte comes.
void standin_wait(int ms) {
    if (!poll_console()) {
        hw_wait(ms < 0 || ms > WAIT_MS ? WAIT_MS : MAX(ms, 1), false);
        poll_console();
    }
}

int __wrap_mp_hal_stdin_rx_chr(void) {
    for (;;) {
        poll_console();
        int c = ringbuf_get(&input);
        if (c >= 0) {
            return c;
        }
        mp_handle_pending(true);
        hw_wait(WAIT_MS, false);
    }
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t flags) {
    poll_console();
    return (flags & MP_STREAM_POLL_RD && ringbuf_avail(&input) ? MP_STREAM_POLL_RD : 0) | (flags & MP_STREAM_POLL_WR);
}

mp_uint_t mp_hal_ticks_us(void) {
    return (mp_uint_t)hw_now_us();
}

mp_uint_t mp_hal_ticks_ms(void) {
    static uint64_t counted_us;
    static uint32_t ms;
    uint32_t more_ms = (uint32_t)(hw_now_us() - counted_us) / 1000;
    counted_us += (uint64_t)more_ms * 1000;
    return ms += more_ms;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return mp_hal_ticks_us();
}

// For the files' times: this machine knows no date.
uint64_t mp_hal_time_ns(void) {
    return hw_now_us() * 1000;
}

void mp_hal_delay_us(mp_uint_t us) {
    for (mp_uint_t start = mp_hal_ticks_us(); mp_hal_ticks_us() - start < us;) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    mp_uint_t start = mp_hal_ticks_ms();
    for (mp_uint_t passed; (passed = mp_hal_ticks_ms() - start) < ms;) {
        mp_handle_pending(true);
        standin_wait(ms - passed);
    }
}

static void run(void) {
    mp_cstack_init_with_top(stack_top(), STANDIN_STACK_BYTES);
    gc_init(heap, heap + sizeof(heap));
    for (;;) {
        mp_init();
        timer_period_ms = 0;
        pyexec_frozen_module("_boot.py", false);
        pyexec_file_if_exists("boot.py");
        if (pyexec_mode_kind == PYEXEC_MODE_FRIENDLY_REPL) {
            pyexec_file_if_exists("main.py");
        }
        while (!(pyexec_mode_kind == PYEXEC_MODE_RAW_REPL ? pyexec_raw_repl() : pyexec_friendly_repl())) {
        }
        mp_printf(&mp_plat_print, "MPY: soft reboot\n");
        gc_sweep_all();
        mp_deinit();
    }
}

int __wrap_main(void) {
    hw_init();
    stack_run(run);
}
