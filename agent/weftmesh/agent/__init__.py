"""The node daemon: the board, its replicated log and the mesh around them. Start reading at `compose`."""

from weftmesh.runtime import tls as tls  # before anything here imports grpc
