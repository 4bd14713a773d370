include $(BOARD_DIR)/mps2.mk

QEMU_MACHINE = mps2-an385
CFLAGS += -mcpu=cortex-m3 -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
MPY_CROSS_FLAGS += -march=armv7m
