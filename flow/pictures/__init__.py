"""Pictures of what a trained network gives for its cost, and of what its gates skip."""
