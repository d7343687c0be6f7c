"""From a layer graph to the tile engine: memory plan, program, images, cycles."""
