"""Training of switchable networks."""
