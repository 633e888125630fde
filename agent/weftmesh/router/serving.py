"""The server on router.sock. Whoever may write to the socket may ask and report; nothing there changes agreements."""

from __future__ import annotations

import grp
import os
import socket
import stat
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from weftmesh.core.errors import ConfigError, PreconditionError
from weftmesh.router.service import NAME, RoutingService
from weftmesh.routing.v1 import routing_pb2_grpc
from weftmesh.runtime.rpc import CONCURRENT_CALLS_MAX, ErrorInterceptor, server_options

SOCKET_MODE: Final = 0o660
STOP_GRACE_S: Final = 1.0


class Serving:
    """Serves RoutingService, grpc.health.v1 and reflection.

    Args:
        path: of the socket.
        group: its owner group; empty leaves the process's own.
        service: answers.
    """

    def __init__(self, path: Path, group: str, service: RoutingService) -> None:
        self._path = path
        self._group = group
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[ErrorInterceptor()],
            options=server_options(),
            maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
        )
        routing_pb2_grpc.add_RoutingServiceServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    async def start(self) -> None:
        """Listen.

        Raises:
            PreconditionError: another process listens there, or something that is no socket is in the way.
            ConfigError: the socket cannot be made, or the group cannot be given.
        """
        remove_dead_socket(self._path)
        before = os.umask(0o177)  # nobody else gets in before the group and the mode are set
        try:
            self._server.add_insecure_port(f"unix:{self._path}")
        except RuntimeError as error:
            raise ConfigError(
                f"cannot make the socket {self._path}: {error}; check its directory and length"
            ) from error
        finally:
            os.umask(before)
        self._give_to_group()
        await self._server.start()
        for name in ("", NAME):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Finish calls under way, within a bound."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(STOP_GRACE_S)
        self._path.unlink(missing_ok=True)

    def _give_to_group(self) -> None:
        try:
            if self._group:
                os.chown(self._path, -1, grp.getgrnam(self._group).gr_gid)
            self._path.chmod(SOCKET_MODE)
        except (KeyError, OSError) as error:
            raise ConfigError(
                f"cannot give the socket {self._path} to group {self._group}: {error}; make the group, or set [mesh] "
                "group to one that is there"
            ) from error


def remove_dead_socket(path: Path) -> None:
    """Remove what a process that was killed left.

    Raises:
        PreconditionError: somebody listens there, or it is no socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise PreconditionError(f"{path} is in the way and is not a socket; move it away")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            probe.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except BlockingIOError:
        pass  # somebody listens, and has many callers waiting
    raise PreconditionError(f"another router listens on {path}; end that one, or give this one another --listen")
