"""C of the device: one source, three builds (DESIGN.md D4). Python here only builds and loads it on CPython."""
