"""What the agent decides, as pure functions."""
