"""From devices' messages to evidence, windows and epochs."""
