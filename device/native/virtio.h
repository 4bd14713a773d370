// virtio over MMIO: finds a device and moves bytes through one of its queues. It knows no device's meaning and waits for
// nothing.

#ifndef TINYREN_VIRTIO_H
#define TINYREN_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTIO_DEVICE_CONSOLE 3
#define VIRTIO_DEVICE_ENTROPY 4

#define VIRTQ_LENGTH 8        // buffers of a queue, a power of two
#define VIRTQ_BUFFER_BYTES 64 // length of each

// A split virtqueue whose descriptor i always points at buffer i. The layout of the first three is the device's.
typedef struct {
    struct {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    } descriptors[VIRTQ_LENGTH] __attribute__((aligned(16)));
    struct {
        uint16_t flags, index, ring[VIRTQ_LENGTH];
    } available;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, length;
        } ring[VIRTQ_LENGTH];
    } used __attribute__((aligned(4)));
    uint8_t buffers[VIRTQ_LENGTH][VIRTQ_BUFFER_BYTES];
    uint8_t *device;
    uint32_t number;
    uint16_t seen;   // used elements that we have taken
    uint32_t offset; // bytes that were read of the element at `seen`
} virtq_t;

// Finds the first device of that kind, sets it up and returns its registers and interrupt; NULL when there is none or it
// does not speak virtio 1.
uint8_t *virtio_open(uint32_t kind, uint32_t *irq);

// Gives queue `number` of a device to q; a receiving queue offers all its buffers to the device. False when there is none.
bool virtq_open(virtq_t *q, uint8_t *device, uint32_t number, bool receiving);

// Tells the device that its driver is ready; after its queues were opened.
void virtio_start(uint8_t *device);

// Resets the device, which forgets its queues.
void virtio_close(uint8_t *device);

// Lowers the device's interrupt.
void virtio_acknowledge(uint8_t *device);

// Bytes wait in a receiving queue.
bool virtq_pending(const virtq_t *q);

// Takes at most n bytes from a receiving queue; returns how many.
size_t virtq_read(virtq_t *q, uint8_t *buf, size_t n);

// Gives at most n bytes to a sending queue; returns how many found room.
size_t virtq_write(virtq_t *q, const uint8_t *buf, size_t n);

#endif
