"""An epoch rebuilt from the chain and R1FS alone."""
