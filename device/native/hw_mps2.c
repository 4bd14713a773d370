// Arm MPS2 FPGA images AN385 (Cortex-M3), AN386 (M4) and AN500 (M7), which share one memory map: clock, wait, link, entropy,
// watchdog. It refuses to run without semihosting, its only source of entropy.
//
// Sources: Arm DAI 0385 (AN385 application note) for the memory map, DDI 0479 (CMSDK) for UART, timer and watchdog, Armv7-M
// ARM for the NVIC, WFI and AIRCR. The core and the peripherals run at 25 MHz.

#if defined(QEMU_SOC_MPS2)

#include "hw.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define CLOCK_HZ 25000000u

// FPGAIO: a free-running counter behind a prescaler.
#define FPGAIO_COUNTER REG(0x40028018)
#define FPGAIO_PRESCALE REG(0x4002801c)

// CMSDK APB timer 0.
#define TIMER_CTRL REG(0x40000000)
#define TIMER_VALUE REG(0x40000004)
#define TIMER_RELOAD REG(0x40000008)
#define TIMER_INTCLEAR REG(0x4000000c)
#define TIMER_CTRL_ENABLE (1u << 0)
#define TIMER_CTRL_IRQ (1u << 3)

// CMSDK APB UARTs: 0 is the console (MicroPython reads and writes it), 1 is the link.
typedef struct {
    volatile uint32_t data, state, ctrl, intstatus, bauddiv;
} uart_t;
#define CONSOLE ((uart_t *)0x40004000)
#define LINK ((uart_t *)0x40005000)
#define UART_TX_FULL (1u << 0)
#define UART_RX_FULL (1u << 1)
#define UART_TX_ENABLE (1u << 0)
#define UART_RX_ENABLE (1u << 1)
#define UART_RX_IRQ (1u << 3)
#define UART_INT_RX (1u << 1)
#define UART_BAUDDIV_MIN 16

// NVIC, interrupts 0..31.
#define NVIC_ENABLE REG(0xe000e100)
#define NVIC_DISABLE REG(0xe000e180)
#define NVIC_CLEAR_PENDING REG(0xe000e280)
#define IRQ_CONSOLE_RX (1u << 0)
#define IRQ_LINK_RX (1u << 2)
#define IRQ_TIMER (1u << 8)

// CMSDK APB watchdog: counts down, raises an NMI at zero, counts again and resets the board.
#define WATCHDOG_LOAD REG(0x40008000)
#define WATCHDOG_CONTROL REG(0x40008008)
#define WATCHDOG_INTCLR REG(0x4000800c)
#define WATCHDOG_LOCK REG(0x40008c00)
#define WATCHDOG_UNLOCK 0x1acce551u
#define WATCHDOG_NMI (1u << 0)
#define WATCHDOG_RESET (1u << 1)

// Application interrupt and reset control.
#define AIRCR REG(0xe000ed0c)
#define AIRCR_RESET (0x05fa0000u | 1u << 2)

// MicroPython's linker script gives 4 MiB to the firmware, of which the budgets leave this free, below 16 KiB of stack.
#define RETAINED ((void *)0x003f0000)

void hw_init(void) {
    __asm volatile ("cpsid i" ::: "memory");
    FPGAIO_PRESCALE = CLOCK_HZ / 1000000u - 1;
    CONSOLE->ctrl = UART_TX_ENABLE | UART_RX_ENABLE | UART_RX_IRQ;
    LINK->bauddiv = UART_BAUDDIV_MIN;
    LINK->ctrl = UART_TX_ENABLE | UART_RX_ENABLE | UART_RX_IRQ;
}

uint64_t hw_now_us(void) {
    static uint64_t now_us;
    static uint32_t last;
    uint32_t counter = FPGAIO_COUNTER;
    now_us += (uint32_t)(counter - last);
    last = counter;
    return now_us;
}

bool hw_link_pending(void) {
    return LINK->state & UART_RX_FULL;
}

void hw_wait(uint32_t ms, bool link) {
    uint32_t irqs = IRQ_TIMER | IRQ_CONSOLE_RX | (link ? IRQ_LINK_RX : 0);
    CONSOLE->intstatus = UART_INT_RX;
    LINK->intstatus = UART_INT_RX;
    TIMER_INTCLEAR = 1;
    NVIC_CLEAR_PENDING = IRQ_TIMER | IRQ_CONSOLE_RX | IRQ_LINK_RX;
    NVIC_ENABLE = irqs;
    TIMER_RELOAD = TIMER_VALUE = ms * (CLOCK_HZ / 1000u);
    TIMER_CTRL = TIMER_CTRL_ENABLE | TIMER_CTRL_IRQ;
    // A byte that comes after these two looks leaves its interrupt pending, and WFI falls through.
    if (!(CONSOLE->state & UART_RX_FULL) && !(link && hw_link_pending())) {
        __asm volatile ("dsb\n wfi\n isb" ::: "memory");
    }
    TIMER_CTRL = 0;
    NVIC_DISABLE = irqs;
    hw_now_us();
}

size_t hw_link_read(uint8_t *buf, size_t n) {
    size_t got = 0;
    while (got < n && (LINK->state & UART_RX_FULL)) {
        buf[got++] = LINK->data;
    }
    return got;
}

size_t hw_link_write(const uint8_t *buf, size_t n) {
    size_t put = 0;
    while (put < n && !(LINK->state & UART_TX_FULL)) {
        LINK->data = buf[put++];
    }
    return put;
}

bool hw_watchdog(uint32_t ms) {
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_LOAD = ms ? ms * (CLOCK_HZ / 1000u) : UINT32_MAX;
    WATCHDOG_INTCLR = 1;
    WATCHDOG_CONTROL = ms ? WATCHDOG_NMI | WATCHDOG_RESET : 0;
    WATCHDOG_LOCK = 0;
    return true;
}

void hw_reset(void) {
    __asm volatile ("dsb" ::: "memory");
    AIRCR = AIRCR_RESET;
    for (;;) {
    }
}

// The watchdog's first end: nobody else raises an NMI here. MicroPython's own handler shows registers for ever.
void __wrap_NMI_Handler(void) {
    hw_reset();
}

void *hw_retained(void) {
    return RETAINED;
}

// Arm semihosting (Arm IHI 0089): a call of the debugger, here of QEMU, which opens the host's file.
#define SYS_OPEN 0x01
#define SYS_CLOSE 0x02
#define SYS_READ 0x06
#define OPEN_RB 1

static int32_t semihost(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm ("r0") = operation;
    register const void *r1 __asm ("r1") = arguments;
    __asm volatile ("bkpt 0xab" : "+r" (r0) : "r" (r1) : "memory");
    return (int32_t)r0;
}

// These images have no entropy source: on the emulated board the host's is read.
bool hw_entropy(uint8_t *buf, size_t n) {
    static const char path[] = "/dev/urandom";
    const uint32_t open_arguments[] = { (uint32_t)path, OPEN_RB, sizeof(path) - 1 };
    int32_t file = semihost(SYS_OPEN, open_arguments);
    if (file < 0) {
        return false;
    }
    const uint32_t read_arguments[] = { (uint32_t)file, (uint32_t)buf, n };
    int32_t missing = semihost(SYS_READ, read_arguments);
    const uint32_t close_arguments[] = { (uint32_t)file };
    semihost(SYS_CLOSE, close_arguments);
    return missing == 0;
}

#endif
