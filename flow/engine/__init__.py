"""From a layer graph to the tile engine: requantisation, memory plan, program, images, cycles."""
