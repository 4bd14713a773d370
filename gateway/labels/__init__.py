"""Labels of devices: what a QR code on a board says, and how it is drawn."""
