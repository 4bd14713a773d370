include $(BOARD_DIR)/../qemu_mps2_an385/mps2.mk

QEMU_MACHINE = mps2-an386
CFLAGS += -mcpu=cortex-m4 -DMICROPY_HW_MCU_NAME='"Cortex-M4"'
MPY_CROSS_FLAGS += -march=armv7em
