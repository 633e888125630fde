"""Functions that the child processes of these tests run."""

from __future__ import annotations

import asyncio
import os
import time

from weftmesh.runtime.lanes.registry import HEAVY, TICKS

MODULE = "tests.unit.runtime.lanes.ticks_and_work"


@TICKS.register("echo")
async def echo(payload: bytes) -> bytes:
    return payload


@TICKS.register("policy")
async def policy(payload: bytes) -> bytes:
    return str(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK).encode()


@TICKS.register("raise")
async def raising(payload: bytes) -> bytes:
    raise ValueError(payload.decode())


@TICKS.register("sleep")
async def sleeping(payload: bytes) -> bytes:
    await asyncio.sleep(float(payload))
    return b"slept"


@TICKS.register("hang")
async def hanging(payload: bytes) -> bytes:
    while True:
        time.sleep(0.05)  # noqa: ASYNC251 - it blocks the lane's loop, that is the point


@TICKS.register("run away")
async def running_away(payload: bytes) -> bytes:
    while True:
        pass


@HEAVY.register("reverse")
def reverse(payload: bytes) -> bytes:
    return payload[::-1]


@HEAVY.register("pid")
def pid(payload: bytes) -> bytes:
    return f"{os.getpid()} {os.nice(0)}".encode()


@HEAVY.register("fail")
def fail(payload: bytes) -> bytes:
    raise ValueError(payload.decode())


@HEAVY.register("end")
def end(payload: bytes) -> bytes:
    os._exit(3)


@HEAVY.register("nap")
def nap(payload: bytes) -> bytes:
    time.sleep(float(payload))
    return payload
