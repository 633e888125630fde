"""The node daemon: the board, its replicated log and the mesh around them. Start reading at `compose`."""

from weftmesh.runtime import lean_structlog as lean_structlog  # before anything here imports structlog
from weftmesh.runtime import tls as tls  # and grpc
