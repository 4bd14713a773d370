// Nordic nRF51 (QEMU's micro:bit): clock and wait. There is no link: the only UART is the console; and nothing that needs
// entropy runs here.
//
// Sources: nRF51 Series Reference Manual 3.0 for TIMER and UART, Armv6-M ARM for the NVIC and WFI.

#if defined(QEMU_SOC_NRF51)

#include "hw.h"

#define REG(address) (*(volatile uint32_t *)(address))

// TIMER0 counts microseconds and is never stopped; TIMER1 ends a wait.
#define CLOCK 0x40008000
#define ALARM 0x40009000
#define TIMER_START(timer) REG((timer) + 0x000)
#define TIMER_STOP(timer) REG((timer) + 0x004)
#define TIMER_CLEAR(timer) REG((timer) + 0x00c)
#define TIMER_CAPTURE0(timer) REG((timer) + 0x040)
#define TIMER_COMPARE0(timer) REG((timer) + 0x140)
#define TIMER_INTENSET(timer) REG((timer) + 0x304)
#define TIMER_BITMODE(timer) REG((timer) + 0x508)
#define TIMER_PRESCALER(timer) REG((timer) + 0x510)
#define TIMER_CC0(timer) REG((timer) + 0x540)
#define BITMODE_32 3
#define PRESCALER_1_MHZ 4
#define INT_COMPARE0 (1u << 16)

#define UART_RXDRDY REG(0x40002108)
#define UART_INTENSET REG(0x40002304)
#define INT_RXDRDY (1u << 2)

// NVIC, interrupts 0..31.
#define NVIC_ENABLE REG(0xe000e100)
#define NVIC_DISABLE REG(0xe000e180)
#define NVIC_CLEAR_PENDING REG(0xe000e280)
#define IRQ_CONSOLE (1u << 2)
#define IRQ_ALARM (1u << 9)

static void init_timer(uint32_t timer) {
    TIMER_BITMODE(timer) = BITMODE_32;
    TIMER_PRESCALER(timer) = PRESCALER_1_MHZ;
}

void hw_init(void) {
    __asm volatile ("cpsid i" ::: "memory");
    init_timer(CLOCK);
    init_timer(ALARM);
    TIMER_START(CLOCK) = 1;
    TIMER_INTENSET(ALARM) = INT_COMPARE0;
    UART_INTENSET = INT_RXDRDY;
}

uint64_t hw_now_us(void) {
    static uint64_t now_us;
    static uint32_t last;
    TIMER_CAPTURE0(CLOCK) = 1;
    uint32_t counter = TIMER_CC0(CLOCK);
    now_us += (uint32_t)(counter - last);
    last = counter;
    return now_us;
}

bool hw_link_pending(void) {
    return false;
}

void hw_wait(uint32_t ms, bool link) {
    (void)link;
    TIMER_CLEAR(ALARM) = 1;
    TIMER_CC0(ALARM) = ms * 1000;
    TIMER_START(ALARM) = 1;
    NVIC_CLEAR_PENDING = IRQ_CONSOLE | IRQ_ALARM;
    NVIC_ENABLE = IRQ_CONSOLE | IRQ_ALARM;
    // A byte that comes after this look leaves its interrupt pending, and WFI falls through.
    if (!UART_RXDRDY) {
        __asm volatile ("dsb\n wfi\n isb" ::: "memory");
    }
    TIMER_STOP(ALARM) = 1;
    TIMER_COMPARE0(ALARM) = 0;
    NVIC_DISABLE = IRQ_CONSOLE | IRQ_ALARM;
    hw_now_us();
}

// No agent runs here that it could watch.
bool hw_watchdog(uint32_t ms) {
    (void)ms;
    return false;
}

#endif
