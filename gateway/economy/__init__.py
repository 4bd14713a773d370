"""What the reward rules do to supply and to owners over years, whatever strategy they play; it predicts no price."""
