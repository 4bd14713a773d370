# What MicroPython's QEMU port needs to know of QEMU's BBC micro:bit (nRF51822), with the RAM that the real one has.

QEMU_ARCH = arm
QEMU_MACHINE = microbit
TINYREN_KERNELS_ONLY = 1

CFLAGS += -mthumb -mcpu=cortex-m0 -mfloat-abi=soft -DQEMU_SOC_NRF51 -DMICROPY_HW_MCU_NAME='"Cortex-M0"'
CFLAGS += -DTINYREN_STACK_BYTES=3072
LDSCRIPT ?= $(BOARD_DIR)/nrf51.ld
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb1.o
MPY_CROSS_FLAGS += -march=armv6m
