"""The deploy folder: all that the board program needs of one build, and nothing of the flow."""
