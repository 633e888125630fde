"""Handshakes with a node's own mesh port, with Python's TLS: with its certificate, without one, and with TLS 1.2."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.identity.material import IdentityMaterial

TIMEOUT_S: Final = 5.0
NOT_OFFERED: Final = frozenset({"NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE", "UNSUPPORTED_PROTOCOL"})
"""What OpenSSL says where this machine's own policy ends a handshake before the server has had a say."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """How one went.

    Attributes:
        version: that was agreed on; empty for none.
        accepted: whether the server went on to talk HTTP/2.
        said: why not, in the words of TLS.
    """

    version: str
    accepted: bool
    said: str = ""


def shake_hands(
    address: str,
    material: IdentityMaterial,
    *,
    with_certificate: bool,
    newest: ssl.TLSVersion,
    timeout_s: float = TIMEOUT_S,
) -> Handshake:
    """Connect to "host:port" and wait for the server's first words; the server's chain has to be our authority's.

    Raises:
        OSError: nobody listens there, or nothing was heard in time, or this machine would not offer what is asked for:
            none of that is the server's refusal.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the name is of the node, not of the address
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = newest
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=material.authority_pem.decode())
    if with_certificate:
        with _in_memory(material.certificate_pem) as certificate, _in_memory(material.key_pem) as key:
            context.load_cert_chain(certificate, key)
    host, port = split_address(address)
    with socket.create_connection((host.strip("[]"), port), timeout_s) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=host) as stream:
                version = stream.version() or ""
                # With TLS 1.3 a client learns only now that its certificate is not wanted.
                said = stream.recv(1)
                return Handshake(version, bool(said), "" if said else "the server closed the connection")
        except (ssl.SSLError, ConnectionError) as error:
            reason = getattr(error, "reason", None) or str(error)
            if reason in NOT_OFFERED:
                raise
            return Handshake("", accepted=False, said=str(reason).replace("_", " ").lower())


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path under which `content` can be read for a moment, on no disk: OpenSSL takes only paths."""
    descriptor = os.memfd_create("weftmesh", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        with suppress(OSError):
            os.close(descriptor)
