"""The gateway speaks for a site's devices: it checks, keeps and settles what they signed, and never signs for them."""
