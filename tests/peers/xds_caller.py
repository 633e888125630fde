"""An ordinary gRPC client in a process of its own: calls one target until its standard input ends.

    python xds_caller.py TARGET CALLERS

Writes a line for each call that ended: the monotonic clock in seconds, and who answered or "!" and the error.
"""

from __future__ import annotations

import asyncio
import sys
import time

import grpc

METHOD = "/weftmesh.test.Echo/Name"
DEADLINE_S = 10.0


async def call_on(channel: grpc.aio.Channel) -> None:
    name: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
    while True:
        try:
            answer = (await name(b"", timeout=DEADLINE_S)).decode()
        except grpc.aio.AioRpcError as error:
            answer = f"!{error.code().name} {error.details()}"
        print(time.monotonic(), answer.replace("\n", " "), flush=True)


async def main(target: str, callers: int) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        calling = [asyncio.create_task(call_on(channel)) for _ in range(callers)]
        await asyncio.to_thread(sys.stdin.read)
        for one in calling:
            one.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
