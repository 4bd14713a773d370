"""What boards of silicon run beside the agent on stock MicroPython; `main` joins it, boards/agent_files.py packs it."""
