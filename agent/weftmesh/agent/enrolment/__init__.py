"""How a node comes into the mesh, and keeps its certificate."""
