"""Duties of whoever leads the mesh; a client of the local agent. Importing it loads neither Flower nor numpy."""

from weftmesh.runtime import lean_structlog as lean_structlog  # before anything here imports structlog
