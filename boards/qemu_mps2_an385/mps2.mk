# What the MPS2 images AN385, AN386 and AN500 share: one memory map, MicroPython's QEMU port, no floating point registers.

QEMU_ARCH = arm

CFLAGS += -mthumb -mfloat-abi=soft -DQEMU_SOC_MPS2
LDSCRIPT = mcu/arm/mps2.ld
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
