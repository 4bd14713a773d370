"""Writes a board: what is decided, and what is done to this computer."""
