// QEMU's RISC-V machine `virt`: clock (CLINT), wait, link (virtio console), entropy (virtio entropy device), watchdog
// (Intel 6300ESB, on PCI as device 1). A machine that was started without one of the three has a dead link, no entropy or
// no watchdog.
//
// Source: QEMU hw/riscv/virt.c for the memory map and the reset; Intel 300641-004 (6300ESB data sheet), chapter 16; RISC-V privileged specification 1.12 for WFI, which wakes on an
// interrupt that is enabled in mie even while mstatus.MIE is clear; RISC-V PLIC specification 1.0.

#if defined(QEMU_SOC_VIRT)

#include <string.h>

#include "hw.h"
#include "virtio.h"

#define REG(address) (*(volatile uint32_t *)(address))

#define MTIMECMP_LOW REG(0x02004000)
#define MTIMECMP_HIGH REG(0x02004004)
#define MTIME_LOW REG(0x0200bff8)
#define MTIME_HIGH REG(0x0200bffc)
#define MTIME_PER_US 10u

#define PLIC_PRIORITY(irq) REG(0x0c000000 + 4 * (irq))
#define PLIC_ENABLE REG(0x0c002000)
#define PLIC_THRESHOLD REG(0x0c200000)
#define PLIC_CLAIM REG(0x0c200004)

// Console: an NS16550A, which MicroPython reads and writes.
#define UART_IRQ_ENABLE (*(volatile uint8_t *)0x10000001)
#define UART_LINE_STATUS (*(volatile uint8_t *)0x10000005)
#define UART_RX_READY 1
#define UART_IRQ 10

// Intel 6300ESB: configuration space of PCI device 1, and its registers where we put them. Each write wants two words first.
#define PCI_WATCHDOG 0x30008000
#define PCI_ID REG(PCI_WATCHDOG + 0x00)
#define PCI_COMMAND (*(volatile uint16_t *)(PCI_WATCHDOG + 0x04))
#define PCI_BASE REG(PCI_WATCHDOG + 0x10)
#define PCI_MEMORY (1u << 1)
#define WATCHDOG_ID 0x25ab8086u
#define WATCHDOG_CONFIG (*(volatile uint16_t *)(PCI_WATCHDOG + 0x60))
#define WATCHDOG_NO_INTERRUPT 3u
#define WATCHDOG_LOCK (*(volatile uint8_t *)(PCI_WATCHDOG + 0x68))
#define WATCHDOG_ENABLE (1u << 1)
#define WATCHDOG_AT 0x40000000
#define WATCHDOG_STAGE_1 REG(WATCHDOG_AT + 0x00)
#define WATCHDOG_STAGE_2 REG(WATCHDOG_AT + 0x04)
#define WATCHDOG_RELOAD (*(volatile uint16_t *)(WATCHDOG_AT + 0x0c))
#define WATCHDOG_RESTART (1u << 8)

// SiFive's test finisher.
#define FINISHER REG(0x00100000)
#define FINISHER_RESET 0x7777u

// The end of the 2 MiB of RAM that MicroPython's linker script gives to data and bss; the budgets leave it free.
#define RETAINED ((void *)(0x80600000 - HW_RETAINED_BYTES))

#define ENTROPY_US_MAX 1000000u

#define MIE_TIMER (1u << 7)
#define MIE_EXTERNAL (1u << 11)
#define MSTATUS_MIE (1u << 3)

static virtq_t link_in, link_out;
static uint8_t *link;
static uint32_t link_irq;

static uint64_t mtime(void) {
    uint32_t low, high;
    do {
        high = MTIME_HIGH;
        low = MTIME_LOW;
    } while (high != MTIME_HIGH);
    return (uint64_t)high << 32 | low;
}

static void set_mtimecmp(uint64_t at) {
    MTIMECMP_HIGH = 0xffffffff;
    MTIMECMP_LOW = (uint32_t)at;
    MTIMECMP_HIGH = (uint32_t)(at >> 32);
}

void hw_init(void) {
    __asm volatile ("csrc mstatus, %0\n csrw mie, %1" :: "r" (MSTATUS_MIE), "r" (MIE_TIMER | MIE_EXTERNAL) : "memory");
    set_mtimecmp(UINT64_MAX);
    UART_IRQ_ENABLE = UART_RX_READY;
    PLIC_THRESHOLD = 0;
    PLIC_PRIORITY(UART_IRQ) = 1;
    link = virtio_open(VIRTIO_DEVICE_CONSOLE, &link_irq);
    // Without the multiport feature, queue 0 receives and queue 1 sends (virtio 1.1, 5.3.2).
    if (link && virtq_open(&link_in, link, 0, true) && virtq_open(&link_out, link, 1, false)) {
        virtio_start(link);
        PLIC_PRIORITY(link_irq) = 1;
    } else {
        link = NULL;
    }
}

uint64_t hw_now_us(void) {
    return mtime() / MTIME_PER_US;
}

bool hw_link_pending(void) {
    return link && virtq_pending(&link_in);
}

void hw_wait(uint32_t ms, bool listen) {
    if (link) {
        virtio_acknowledge(link);
    }
    PLIC_ENABLE = 1u << UART_IRQ | (link && listen ? 1u << link_irq : 0);
    set_mtimecmp(mtime() + (uint64_t)ms * 1000 * MTIME_PER_US);
    // A byte that comes after these two looks leaves its interrupt pending, and WFI falls through.
    if (!(UART_LINE_STATUS & UART_RX_READY) && !(listen && hw_link_pending())) {
        __asm volatile ("wfi" ::: "memory");
    }
    set_mtimecmp(UINT64_MAX);
    uint32_t irq = PLIC_CLAIM;
    if (irq == link_irq && link) {
        virtio_acknowledge(link);
    }
    PLIC_CLAIM = irq;
    PLIC_ENABLE = 0;
}

size_t hw_link_read(uint8_t *buf, size_t n) {
    return link ? virtq_read(&link_in, buf, n) : 0;
}

size_t hw_link_write(const uint8_t *buf, size_t n) {
    return link ? virtq_write(&link_out, buf, n) : 0;
}

// The device answers within microseconds; each buffer may come back partly filled (virtio 1.1, 5.4.6).
bool hw_entropy(uint8_t *buf, size_t n) {
    static virtq_t queue;
    uint32_t irq;
    uint8_t *device = virtio_open(VIRTIO_DEVICE_ENTROPY, &irq);
    if (!device || !virtq_open(&queue, device, 0, true)) {
        return false;
    }
    virtio_start(device);
    uint64_t give_up = mtime() + ENTROPY_US_MAX * MTIME_PER_US;
    size_t got = 0;
    while (got < n && mtime() < give_up) {
        got += virtq_read(&queue, buf + got, n - got);
    }
    // Stopped, so that the random bytes that it still holds go nowhere.
    virtio_close(device);
    memset(&queue, 0, sizeof(queue));
    return got == n;
}

static void unlock_watchdog(void) {
    WATCHDOG_RELOAD = 0x80;
    WATCHDOG_RELOAD = 0x86;
}

// It counts two stages of about a millisecond (2^15 clocks of 33 MHz) each count, and resets after the second.
bool hw_watchdog(uint32_t ms) {
    if (PCI_ID != WATCHDOG_ID) {
        return false;
    }
    PCI_BASE = WATCHDOG_AT;
    PCI_COMMAND = PCI_MEMORY;
    WATCHDOG_CONFIG = WATCHDOG_NO_INTERRUPT;
    unlock_watchdog();
    WATCHDOG_STAGE_1 = ms;
    unlock_watchdog();
    WATCHDOG_STAGE_2 = 1;
    unlock_watchdog();
    WATCHDOG_RELOAD = WATCHDOG_RESTART;
    WATCHDOG_LOCK = ms ? WATCHDOG_ENABLE : 0;
    return true;
}

void hw_reset(void) {
    FINISHER = FINISHER_RESET;
    for (;;) {
    }
}

void *hw_retained(void) {
    return RETAINED;
}

#endif
