// QEMU's RISC-V machine `virt`: clock (CLINT), wait, link (virtio console) and entropy (virtio entropy device). A machine
// that was started without one of the two virtio devices has a dead link, or no entropy.
//
// Source: QEMU hw/riscv/virt.c for the memory map; RISC-V privileged specification 1.12 for WFI, which wakes on an
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

#endif
