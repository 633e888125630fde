"""Files in and out of a board: reading, writing, and the import that carries out a plan."""
