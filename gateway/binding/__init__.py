"""Binding by label: who holds a device's label and a deed's key binds the two; the page's routes and the command."""
