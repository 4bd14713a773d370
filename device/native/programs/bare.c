// A program without MicroPython: runs an artifact on a window and prints the microseconds that it took and the output. Its
// command line, given by QEMU: ADDRESS SIZE TIMES, each eight hex digits. At ADDRESS lie SIZE bytes of artifact, then, at a
// multiple of 64 of them, the window. It ends QEMU with 0, or with 1 where an artifact is refused or the core faults.
//
// Source: Arm IHI 0089 (semihosting, also of RISC-V), Armv7-M ARM for the vector table.

#include "../hw.h"
#include "../model.h"

#define SYS_WRITE0 0x04
#define SYS_GET_CMDLINE 0x15
#define SYS_EXIT 0x18
#define EXIT_GOOD 0x20026
#define EXIT_BAD 0x20023
#define ALIGNMENT 64

extern uint8_t stack_top[], free_ram[];
void begin(void);

#if defined(__arm__)

static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm ("r0") = operation;
    register const void *r1 __asm ("r1") = argument;
    __asm volatile ("bkpt 0xab" : "+r" (r0) : "r" (r1) : "memory");
    return r0;
}

static void fault(void) {
    semihost(SYS_EXIT, (void *)EXIT_BAD);
}

// Initial stack pointer, reset, NMI and all faults.
__attribute__((section(".start"), used))
static const void *const vectors[] = { stack_top, begin, fault, fault, fault, fault, fault };

#else

// The three instructions must be next to each other and none of them compressed.
static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t a0 __asm ("a0") = operation;
    register const void *a1 __asm ("a1") = argument;
    __asm volatile (".balign 16\n .option push\n .option norvc\n slli zero, zero, 0x1f\n ebreak\n srai zero, zero, 7\n"
        ".option pop" : "+r" (a0) : "r" (a1) : "memory");
    return a0;
}

__attribute__((aligned(4), used)) void fault(void) {
    semihost(SYS_EXIT, (void *)EXIT_BAD);
}

__attribute__((naked, section(".start"), used)) void start(void) {
    __asm volatile ("la sp, stack_top\n la t0, fault\n csrw mtvec, t0\n j begin");
}

#endif

static void print_byte(uint8_t value) {
    static const char digits[] = "0123456789abcdef";
    const char text[] = { digits[value >> 4], digits[value & 15], 0 };
    semihost(SYS_WRITE0, text);
}

// The number at *text, which moves behind it and its space.
static uint32_t take_number(const char **text) {
    uint32_t value = 0;
    for (int digits = 8; digits; digits--, ++*text) {
        value = value << 4 | (uint32_t)(**text <= '9' ? **text - '0' : **text - 'a' + 10);
    }
    ++*text;
    return value;
}

static uint8_t *rounded(uint8_t *address) {
    return (uint8_t *)(((uintptr_t)address + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void begin(void) {
    static char line[64];
    struct { char *text; size_t size; } command = { line, sizeof(line) };
    semihost(SYS_GET_CMDLINE, &command);
    const char *rest = line;
    const uint8_t *artifact = (const uint8_t *)take_number(&rest);
    size_t size = take_number(&rest);
    uint32_t times = take_number(&rest);
    hw_init();
    if (ren_model_check(artifact, size) != REN_OK) {
        semihost(SYS_WRITE0, "refused");
        semihost(SYS_EXIT, (void *)EXIT_BAD);
    }
    ren_model_facts facts;
    ren_model_info(artifact, &facts);
    const int8_t *window = (const int8_t *)artifact + (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    uint8_t *arena = free_ram, *out = rounded(arena + facts.arena_bytes);
    uint64_t before_us = hw_now_us();
    for (uint32_t i = 0; i < times; i++) {
        ren_model_run(artifact, window, (int8_t *)out, arena);
    }
    uint32_t elapsed_us = (uint32_t)(hw_now_us() - before_us);
    for (int shift = 24; shift >= 0; shift -= 8) {
        print_byte((uint8_t)(elapsed_us >> shift));
    }
    for (uint32_t i = 0; i < facts.output_bytes; i++) {
        print_byte(out[i]);
    }
    semihost(SYS_EXIT, (void *)EXIT_GOOD);
}
