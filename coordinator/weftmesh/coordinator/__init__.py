"""Duties of whoever leads the mesh; a client of the local agent. Importing it loads neither Flower nor numpy."""
