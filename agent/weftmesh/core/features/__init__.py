"""Which features all nodes of a mesh understand: its feature level, raised one step at a time and never lowered."""
