"""What every gRPC server and channel of weftmesh has in common: limits, keep-alive, and one mapping of errors."""

from __future__ import annotations

from typing import Final

from weftmesh.runtime.rpc_server import SLOW_CALL_S, ErrorInterceptor, waits, what_is_told
from weftmesh.runtime.rpc_status import (
    CollisionError,
    error_from_status,
    error_from_write_failed,
    from_rpc_error,
    to_status,
    to_write_failed,
)

__all__ = [
    "CONCURRENT_CALLS_MAX",
    "CONCURRENT_STREAMS_MAX",
    "MESSAGE_BYTES_MAX",
    "SLOW_CALL_S",
    "CollisionError",
    "ErrorInterceptor",
    "channel_options",
    "error_from_status",
    "error_from_write_failed",
    "from_rpc_error",
    "server_options",
    "to_status",
    "to_write_failed",
    "waits",
    "what_is_told",
]

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""One message, either way; gRPC refuses a larger one by its length prefix, before it is held in memory."""
METADATA_BYTES_MAX: Final = 8 * 1024
"""Headers of one call, and trailers; what clients in other languages accept as they come."""
METADATA_BYTES_ABSOLUTE_MAX: Final = 16 * 1024
"""Beyond it a call is refused in any case; between the two, the more often the larger its headers are."""
CONCURRENT_STREAMS_MAX: Final = 1_024
"""Calls under way on one connection; more wait at the caller, and are broken off if it does not."""
HANDSHAKE_TIMEOUT_MS: Final = 10_000
"""From a connection to its end of TLS and the first frame of HTTP/2; gRPC's own is 120 s."""
SETTINGS_TIMEOUT_MS: Final = 3_000
"""For a client to acknowledge our settings. Until then gRPC takes 16 MiB of headers for each call."""
CONNECTION_IDLE_MS: Final = 600_000
"""A connection without a call is closed; whoever comes back connects anew."""
PING_STRIKES_MAX: Final = 2
"""Pings that come too often before the connection is closed."""
CONCURRENT_CALLS_MAX: Final = 4_096
"""Calls under way on one server (`maximum_concurrent_rpcs`); more are refused with RESOURCE_EXHAUSTED."""
KEEPALIVE_TIME_MS: Final = 10_000
"""A connection without traffic is probed this often: a peer that lost power leaves no other trace."""
KEEPALIVE_TIMEOUT_MS: Final = 5_000
CONNECT_TIMEOUT_MS: Final = 5_000
"""From dialling to the server's first frame, which takes three round trips and two processors that may be slow."""
RECONNECT_BACKOFF_MIN_MS: Final = 100
RECONNECT_BACKOFF_MAX_MS: Final = 2_000
"""A node that is back is found within this time."""

Options = list[tuple[str, int]]


def server_options(max_message_bytes: int = MESSAGE_BYTES_MAX) -> Options:
    """Options for `grpc.aio.server`; pass CONCURRENT_CALLS_MAX as its `maximum_concurrent_rpcs`."""
    return [
        *_common_options(max_message_bytes),
        ("grpc.max_concurrent_streams", CONCURRENT_STREAMS_MAX),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.http2.settings_timeout", SETTINGS_TIMEOUT_MS),
        ("grpc.max_connection_idle_ms", CONNECTION_IDLE_MS),
        ("grpc.http2.max_ping_strikes", PING_STRIKES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_ABSOLUTE_MAX),
        # Two processes on one port would answer by turns.
        ("grpc.so_reuseport", 0),
        # Half of what our channels do, so that their probes never count as misuse.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_TIME_MS // 2),
    ]


def channel_options(max_message_bytes: int = MESSAGE_BYTES_MAX) -> Options:
    """Options for `grpc.aio.secure_channel` and `insecure_channel`."""
    return [
        *_common_options(max_message_bytes),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_BACKOFF_MIN_MS),
        # Also how long an attempt may take; the pause itself follows from the two others.
        ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_BACKOFF_MAX_MS),
        # Peers are named in the configuration; a proxy from the environment is never meant for them.
        ("grpc.enable_http_proxy", 0),
    ]


def _common_options(max_message_bytes: int) -> Options:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        # The ping's own timeout, 60 s by default, would otherwise outlast the keep-alive's.
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
