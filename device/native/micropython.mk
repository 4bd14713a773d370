# The C module `_tinyren` as a MicroPython user module. SECP256K1_DIR is libsecp256k1's source (boards/sources.py).
# REN_KERNELS, what runs an encoder, and REN_EDIL, what encrypts, know nothing of MicroPython or a board; natmod/Makefile builds
# them too.
# A board's mpconfigboard.mk sets TINYREN_KERNELS_ONLY where no agent runs; boards/unix.py sets TINYREN_UNIX.

REN_KERNELS := int8.c int8_depthwise.c int8_elementwise.c int8_pool.c model.c model_buffers.c model_check.c sha256.c
REN_EDIL := chacha20.c edil.c edil_ring.c
MOD_SHARED := mod_arguments.c mod_edil.c mod_model.c

ifeq ($(TINYREN_KERNELS_ONLY),1)
SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/, boot.c mod_kernels.c $(MOD_SHARED))
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/, $(REN_KERNELS) $(REN_EDIL) hw_nrf51.c)
else ifeq ($(TINYREN_UNIX),1)
SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/, mod_curve.c mod_tinyren.c $(MOD_SHARED))
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/, $(REN_KERNELS) $(REN_EDIL) hw_unix.c keccak.c reset.c secp.c)
else
SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/, boot.c i2c_sbcon.c mod_curve.c mod_tinyren.c $(MOD_SHARED))
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/, $(REN_KERNELS) $(REN_EDIL) hw_mps2.c hw_virt.c keccak.c reset.c secp.c virtio.c)
LDFLAGS_USERMOD += -Wl,--wrap=exit -Wl,--wrap=NMI_Handler
endif

CFLAGS_USERMOD += -I$(USERMOD_DIR) -I$(SECP256K1_DIR) -include $(USERMOD_DIR)/mpconfig_tinyren.h
ifneq ($(TINYREN_UNIX),1)
LDFLAGS_USERMOD += -Wl,--wrap=main -Wl,--wrap=mp_hal_stdin_rx_chr
endif
