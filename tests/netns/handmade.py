"""Packets made by hand, to be read back."""

from __future__ import annotations

import socket
import struct

from tests.netns.packets import Flags

CLIENT = "198.19.1.1"
SERVER = "198.19.1.10"
PORT = 8080
CLIENT_PORT = 40_000
MS = 1_000_000


def ip(source: str, target: str, protocol: int, body: bytes) -> bytes:
    """A packet of IPv4; nobody checks its sums."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + addresses + body


def echo(reply: bool, identifier: int = 1, sequence: int = 1) -> bytes:
    """A request of the client, or the reply to it."""
    ends = (SERVER, CLIENT) if reply else (CLIENT, SERVER)
    return ip(*ends, 1, struct.pack(">BBHHH", 0 if reply else 8, 0, 0, identifier, sequence) + b"payload")


def tcp(from_client: bool, sequence: int, flags: Flags, payload: bytes = b"", client_port: int = CLIENT_PORT) -> bytes:
    """A segment of the client, or one of the server."""
    ports = (client_port, PORT) if from_client else (PORT, client_port)
    ends = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
    return ip(*ends, 6, struct.pack(">HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 64, 0, 0) + payload)


def syn(sequence: int = 7, client_port: int = CLIENT_PORT) -> bytes:
    """The client's first segment."""
    return tcp(True, sequence, Flags.SYN, client_port=client_port)


def accepted(sequence: int = 4_294_967_290, client_port: int = CLIENT_PORT) -> bytes:
    """The server's first segment; its numbers start again within the answer."""
    return tcp(False, sequence, Flags.SYN | Flags.ACK, client_port=client_port)


def asked() -> bytes:
    """The client's request."""
    return tcp(True, 8, Flags.ACK, b"GET / HTTP/1.1\r\n\r\n")


def answer(piece: bytes, at: int = 0) -> bytes:
    """A piece of the server's answer, so many bytes behind its beginning."""
    return tcp(False, (4_294_967_291 + at) % (1 << 32), Flags.ACK, piece)
