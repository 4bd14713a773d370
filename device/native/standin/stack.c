// See stack.h. The guard is a region of the core's memory protection that nobody may touch, so whoever goes below the stack
// faults: on Arm the fault has a stack of its own and tells registers, RISC-V tells them without end.
//
// Sources: Armv7-M ARM, B3.5 (PMSAv7); RISC-V privileged specification, 3.7 (PMP).

#include "stack.h"

#include <stdint.h>
#include <string.h>

#define GUARD_BYTES 4096
#define PAINT 0xa5 // tests/boards/test_standin_stack.py looks for the deepest byte that is another

// Beside the stack that the machine begins with, where no start writes: RISC-V's guard outlives a reset of this machine.
extern uint8_t _estack;
#if defined(__riscv)
#define TOP ((uintptr_t)&_estack + 64 * 1024)
#else
#define TOP ((uintptr_t)&_estack - 4096)
#endif
#define BOTTOM (TOP - STANDIN_STACK_BYTES)
#define GUARD (BOTTOM - GUARD_BYTES)

void *stack_top(void) {
    return (void *)TOP;
}

#if defined(__riscv)

static void guard(void) {
    uintptr_t range = GUARD >> 2 | (GUARD_BYTES / 8 - 1); // naturally aligned, a power of two
    uintptr_t locked_without_access = 0x98;
    __asm volatile ("csrw pmpaddr0, %0\n csrw pmpcfg0, %1\n sfence.vma" :: "r" (range), "r" (locked_without_access) : "memory");
}

static void __attribute__((noreturn)) leave(void (*run)(void)) {
    __asm volatile ("mv sp, %0\n jr %1" :: "r" (TOP), "r" (run) : "memory");
    __builtin_unreachable();
}

#else

#define MPU_CTRL (*(volatile uint32_t *)0xe000ed94)
#define MPU_RBAR (*(volatile uint32_t *)0xe000ed9c)
#define MPU_RASR (*(volatile uint32_t *)0xe000eda0)
#define REGION_VALID (1u << 4) // region 0
#define SIZE_4096_ENABLE (11u << 1 | 1u)
#define ENABLE_WITH_DEFAULT_MAP 5u

static void guard(void) {
    MPU_RBAR = GUARD | REGION_VALID;
    MPU_RASR = SIZE_4096_ENABLE;
    MPU_CTRL = ENABLE_WITH_DEFAULT_MAP;
    __asm volatile ("dsb\n isb" ::: "memory");
}

// To the process stack: a fault then finds its own.
static void __attribute__((noreturn)) leave(void (*run)(void)) {
    __asm volatile ("msr psp, %0\n msr control, %1\n isb\n bx %2" :: "r" (TOP), "r" (2), "r" (run) : "memory");
    __builtin_unreachable();
}

#endif

void stack_run(void (*run)(void)) {
    memset((void *)BOTTOM, PAINT, STANDIN_STACK_BYTES);
    guard();
    leave(run);
}
