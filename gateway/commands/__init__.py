"""The commands of `tinyren`."""
