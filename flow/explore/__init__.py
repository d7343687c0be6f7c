"""Design space exploration: which group count each layer should have."""
