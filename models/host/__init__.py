"""The encoder `host`: 1.6 s of a machine's temperature, cpu, memory and load into 16 values."""
