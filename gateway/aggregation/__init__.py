"""EDIL at the gateway: takes ciphertexts in, computes on them, closes rounds; it has no key to open one."""
