"""Gate networks: from a feature map to the probability that a layer or a channel is worth its cost."""
