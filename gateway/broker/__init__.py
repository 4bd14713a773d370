"""The MQTT broker, its accounts, and what speaks with it."""
