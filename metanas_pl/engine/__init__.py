"""Configuration and search space together: pure functions of theta and a batch of episodes."""
