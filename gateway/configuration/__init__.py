"""What a gateway is configured to do, and where each value comes from."""
