"""Proof of AI: what devices claim to have computed, which of it is checked, and what it comes to (docs/poai.md)."""
