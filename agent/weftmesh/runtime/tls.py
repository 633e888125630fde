"""TLS 1.3 or nothing, for every gRPC endpoint of this process: import this before grpc.

grpcio has no setting for the protocol version. It reads the cipher suites of TLS 1.2 from the environment, once, while
it is imported; those of TLS 1.3 are not configurable. All our certificates have ECDSA keys, so a list of one suite that
needs an RSA key leaves TLS 1.2 with nothing to agree on. `weftmesh.runtime` and `weftmesh.agent` import this module
first; a server refuses to start when grpc was there before it.

Why a handshake failed is written by grpcio to standard error, hence to the journal, at its default verbosity:
"Handshake failed with error ... certificate has expired". GRPC_VERBOSITY=ERROR hides that. GRPC_TRACE=handshaker with
GRPC_VERBOSITY=INFO adds some twenty lines a connection, the peer's address among them, and is for a quiet moment. The
peer itself sees no more than "Socket closed".
"""

from __future__ import annotations

import os
import sys
from typing import Final

_VARIABLE: Final = "GRPC_SSL_CIPHER_SUITES"
_RSA_ONLY_SUITE: Final = "ECDHE-RSA-AES128-GCM-SHA256"


def _restrict() -> bool:
    """Whether grpc reads, or has read, our cipher suites."""
    in_force = os.environ.get(_VARIABLE) == _RSA_ONLY_SUITE
    os.environ[_VARIABLE] = _RSA_ONLY_SUITE
    return in_force or "grpc._cython.cygrpc" not in sys.modules


_in_time: Final = _restrict()


def require_tls13() -> None:
    """Refuse to serve when TLS 1.2 could be negotiated.

    Raises:
        RuntimeError: grpc was imported before this module; the order of imports has to change.
    """
    if not _in_time:
        raise RuntimeError("grpc was imported before weftmesh.runtime.tls: import weftmesh.runtime first")
