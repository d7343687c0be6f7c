"""The layer graph: what the engine computes, and its one integer definition."""
