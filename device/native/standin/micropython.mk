# What stock MicroPython has on boards of silicon and MicroPython's QEMU port lacks, as a MicroPython user module; nothing of the
# agent. boards/standin.py lays these files and the emulated machine's (hw_*.c) into one folder.

SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/, flash.c standin.c i2c_sbcon.c)
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/, hw_mps2.c hw_virt.c reset.c stack.c virtio.c)
CFLAGS_USERMOD += -I$(USERMOD_DIR) -include $(USERMOD_DIR)/mpconfig_standin.h
LDFLAGS_USERMOD += -Wl,--wrap=exit -Wl,--wrap=NMI_Handler -Wl,--wrap=main
LDFLAGS_USERMOD += -Wl,--wrap=mp_hal_stdin_rx_chr -Wl,--wrap=mp_hal_stdio_poll
# littlefs' times divide 64 bits, for which libgcc brings unwind tables; MicroPython's linker script has no place for them.
ifeq ($(QEMU_ARCH),arm)
LDFLAGS_USERMOD += -Wl,--section-start=.ARM.exidx=0x003e0000
endif
