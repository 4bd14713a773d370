// virtio over MMIO, version 2 (not the legacy one), little-endian, polled; a queue's buffers lie in the queue.
//
// Source: OASIS virtio 1.1, sections 2.6 (split virtqueues), 3.1 (initialisation), 4.2 (MMIO). The places and interrupts
// of QEMU's `virt`: hw/riscv/virt.c.

#if defined(QEMU_SOC_VIRT)

#include <string.h>

#include "virtio.h"

#define FIRST_DEVICE 0x10001000u
#define DEVICE_STRIDE 0x1000u
#define DEVICES 8
#define FIRST_IRQ 1

#define REG(device, offset) (*(volatile uint32_t *)((device) + (offset)))
#define MAGIC 0x000
#define VERSION 0x004
#define DEVICE_ID 0x008
#define DRIVER_FEATURES 0x020
#define DRIVER_FEATURES_WORD 0x024
#define QUEUE_SELECT 0x030
#define QUEUE_MAX 0x034
#define QUEUE_LENGTH 0x038
#define QUEUE_READY 0x044
#define QUEUE_NOTIFY 0x050
#define INTERRUPT_STATUS 0x060
#define INTERRUPT_ACK 0x064
#define STATUS 0x070
#define QUEUE_DESCRIPTORS 0x080
#define QUEUE_AVAILABLE 0x090
#define QUEUE_USED 0x0a0

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8
#define FEATURE_VERSION_1_WORD 1 // bit 32
#define FEATURE_VERSION_1 1
#define DESCRIPTOR_WRITE 2

static void fence(void) {
    __asm volatile ("fence" ::: "memory");
}

static uint8_t *find(uint32_t kind, uint32_t *irq) {
    for (uint32_t i = 0; i < DEVICES; ++i) {
        uint8_t *device = (uint8_t *)(FIRST_DEVICE + i * DEVICE_STRIDE);
        if (REG(device, MAGIC) == 0x74726976 && REG(device, VERSION) == 2 && REG(device, DEVICE_ID) == kind) {
            *irq = FIRST_IRQ + i;
            return device;
        }
    }
    return NULL;
}

uint8_t *virtio_open(uint32_t kind, uint32_t *irq) {
    uint8_t *device = find(kind, irq);
    if (!device) {
        return NULL;
    }
    REG(device, STATUS) = 0;
    REG(device, STATUS) = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
    REG(device, DRIVER_FEATURES_WORD) = FEATURE_VERSION_1_WORD;
    REG(device, DRIVER_FEATURES) = FEATURE_VERSION_1;
    REG(device, STATUS) |= STATUS_FEATURES_OK;
    return REG(device, STATUS) & STATUS_FEATURES_OK ? device : NULL;
}

static void set_address(uint8_t *device, uint32_t offset, const void *address) {
    REG(device, offset) = (uint32_t)address;
    REG(device, offset + 4) = 0;
}

static void offer(virtq_t *q, uint32_t id) {
    q->available.ring[q->available.index % VIRTQ_LENGTH] = id;
    fence();
    q->available.index++;
    fence();
    REG(q->device, QUEUE_NOTIFY) = q->number;
}

bool virtq_open(virtq_t *q, uint8_t *device, uint32_t number, bool receiving) {
    memset(q, 0, sizeof(*q));
    q->device = device;
    q->number = number;
    for (int i = 0; i < VIRTQ_LENGTH; ++i) {
        q->descriptors[i].address = (uint32_t)q->buffers[i];
        q->descriptors[i].length = VIRTQ_BUFFER_BYTES;
        q->descriptors[i].flags = receiving ? DESCRIPTOR_WRITE : 0;
    }
    REG(device, QUEUE_SELECT) = number;
    if (REG(device, QUEUE_MAX) < VIRTQ_LENGTH) {
        return false;
    }
    REG(device, QUEUE_LENGTH) = VIRTQ_LENGTH;
    set_address(device, QUEUE_DESCRIPTORS, q->descriptors);
    set_address(device, QUEUE_AVAILABLE, &q->available);
    set_address(device, QUEUE_USED, &q->used);
    REG(device, QUEUE_READY) = 1;
    for (int i = 0; receiving && i < VIRTQ_LENGTH; ++i) {
        q->available.ring[i] = i;
    }
    q->available.index = receiving ? VIRTQ_LENGTH : 0;
    return true;
}

void virtio_start(uint8_t *device) {
    fence();
    REG(device, STATUS) |= STATUS_DRIVER_OK;
    REG(device, QUEUE_NOTIFY) = 0;
}

void virtio_close(uint8_t *device) {
    REG(device, STATUS) = 0;
}

void virtio_acknowledge(uint8_t *device) {
    REG(device, INTERRUPT_ACK) = REG(device, INTERRUPT_STATUS);
}

bool virtq_pending(const virtq_t *q) {
    return *(const volatile uint16_t *)&q->used.index != q->seen;
}

size_t virtq_read(virtq_t *q, uint8_t *buf, size_t n) {
    size_t got = 0;
    while (got < n && virtq_pending(q)) {
        fence();
        uint32_t id = q->used.ring[q->seen % VIRTQ_LENGTH].id;
        uint32_t length = q->used.ring[q->seen % VIRTQ_LENGTH].length;
        size_t take = length - q->offset < n - got ? length - q->offset : n - got;
        memcpy(buf + got, q->buffers[id] + q->offset, take);
        got += take;
        q->offset += take;
        if (q->offset == length) {
            q->offset = 0;
            q->seen++;
            offer(q, id);
        }
    }
    return got;
}

// The buffers go round in order: the device returns them in the order in which it got them.
size_t virtq_write(virtq_t *q, const uint8_t *buf, size_t n) {
    size_t put = 0;
    while (put < n) {
        q->seen = *(volatile uint16_t *)&q->used.index;
        if ((uint16_t)(q->available.index - q->seen) == VIRTQ_LENGTH) {
            break;
        }
        uint32_t id = q->available.index % VIRTQ_LENGTH;
        uint32_t length = n - put < VIRTQ_BUFFER_BYTES ? n - put : VIRTQ_BUFFER_BYTES;
        memcpy(q->buffers[id], buf + put, length);
        q->descriptors[id].length = length;
        offer(q, id);
        put += length;
    }
    return put;
}

#endif
