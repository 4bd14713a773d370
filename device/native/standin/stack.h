// The stack of the board that the stand-in stands for: as large as its (STANDIN_STACK_BYTES), painted, and with a guard below it
// that faults. MicroPython and C share it; of a handler of interrupts nothing is on it.

#ifndef STANDIN_STACK_H
#define STANDIN_STACK_H

// Leaves the stack that the machine began with and calls run, which must not return, at the top of this one.
void stack_run(void (*run)(void)) __attribute__((noreturn));

// The end of the stack, for mp_cstack_init_with_top.
void *stack_top(void);

#endif
