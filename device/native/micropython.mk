# The C module `_tinyren` as a MicroPython user module. SECP256K1_DIR is libsecp256k1's source (boards/sources.py).

SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/, boot.c i2c_sbcon.c mod_model.c mod_tinyren.c)
SRC_USERMOD_LIB_C += $(addprefix $(USERMOD_DIR)/, hw_mps2.c hw_virt.c int8.c keccak.c model.c secp.c virtio.c)

CFLAGS_USERMOD += -I$(USERMOD_DIR) -I$(SECP256K1_DIR) -include $(USERMOD_DIR)/mpconfig_tinyren.h
LDFLAGS_USERMOD += -Wl,--wrap=main -Wl,--wrap=mp_hal_stdin_rx_chr
