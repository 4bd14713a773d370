"""What a gateway tells the world: metrics, logs, alerts, Home Assistant."""
