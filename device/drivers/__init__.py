"""Drivers of the chips that a device reads and remembers with. Their contract is in README.md beside this file."""
