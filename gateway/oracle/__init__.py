"""Oracles: how each scores an epoch alone, and how they agree on its root."""
