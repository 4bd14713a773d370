"""The encoder `motion`: 3.2 s of a three-axis accelerometer into 16 values."""
