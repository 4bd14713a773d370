"""The encoder `vibration`: 1.6 s of a machine's temperature and vibration into 16 values."""
