"""Resource estimates from yosys: what the generated hardware takes of a part."""
