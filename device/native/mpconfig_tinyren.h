// Options of MicroPython that differ from its QEMU port's. Included before every file of the firmware.

#ifndef TINYREN_MPCONFIG_H
#define TINYREN_MPCONFIG_H

// Ctrl-C reaches a running program: the QEMU port has no interrupt handler that would look for it.
#if !defined(__unix__)
#define MICROPY_VM_HOOK_LOOP { extern void tinyren_vm_hook(void); tinyren_vm_hook(); }
#define MP_CONFIGFILE <mpconfigport_tinyren.h>
#endif

#if defined(QEMU_SOC_MPS2)
#define MICROPY_PY_MACHINE_I2C (1)
#endif

// What no part of the agent uses.
#define MICROPY_PY_FRAMEBUF (0)
#define MICROPY_PY_HEAPQ (0)
#define MICROPY_PY_RANDOM (0)
#define MICROPY_PY_RE (0)
#define MICROPY_PY_CMATH (0)
#define MICROPY_PY_MATH (0)
#define MICROPY_PY_BUILTINS_COMPLEX (0)

#endif
