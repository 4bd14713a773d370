// Options of MicroPython that boards of silicon have and its QEMU port has not. Included before every file of the firmware.

#ifndef TINYREN_MPCONFIG_STANDIN_H
#define TINYREN_MPCONFIG_STANDIN_H

#define MICROPY_VM_HOOK_LOOP { extern void standin_vm_hook(void); standin_vm_hook(); }
#define MICROPY_INTERNAL_WFE(timeout) { extern void standin_wait(int); standin_wait(timeout); }
#define MP_CONFIGFILE <mpconfigport_standin.h>

#if defined(QEMU_SOC_MPS2)
#define MICROPY_PY_MACHINE_I2C (1)
#endif

#endif
