"""Whether an agreement makes sense by itself: bounds first, then what contradicts what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weftmesh.core.ola.bounds import bound_problems
from weftmesh.core.ola.model import Agreement, Dependency, ProbeKind, RaiseClass, ServiceClass
from weftmesh.core.ola.objective_problems import objective_problems
from weftmesh.core.ola.problems import Path, Problem
from weftmesh.core.ola.time_problems import time_problems


def check_agreement(agreement: Agreement) -> tuple[Problem, ...]:
    """Everything that is wrong with an agreement which can be seen without the others; empty when it is good."""
    out_of_bounds = tuple(bound_problems(agreement))
    if out_of_bounds:
        return out_of_bounds
    return (
        *objective_problems(agreement),
        *time_problems(agreement),
        *_probe_problems(agreement),
        *_endpoint_problems(agreement),
        *_dependency_problems(agreement),
        *_breach_problems(agreement),
    )


def _probe_problems(agreement: Agreement) -> Iterator[Problem]:
    for index, probe in enumerate(agreement.probes):
        at: Path = ("probes", index)
        kind = probe.kind.name.lower()
        if probe.timeout_ms >= probe.every_ms:
            yield Problem(
                (*at, "timeout"),
                f"a probe every {probe.every_ms} ms that waits for {probe.timeout_ms} ms overlaps with the next one",
                f"wait for less than {probe.every_ms} ms, or probe less often",
            )
        if probe.kind in (ProbeKind.ICMP, ProbeKind.TCP) and probe.path:
            yield Problem((*at, "path"), f"{kind} knows no path", "leave `path` out, or probe by http or grpc")
        if probe.kind is ProbeKind.ICMP and probe.tls:
            yield Problem((*at, "tls"), "icmp knows no TLS", "leave `tls` out, or probe by tcp, http or grpc")
        if probe.kind is ProbeKind.HTTP and not probe.path.startswith("/"):
            yield Problem((*at, "path"), "http asks for a path, and this one does not begin with /", "path: /healthz")
        yield from _repeated(at, f"the {kind} probe", [(one.kind, one.path) for one in agreement.probes], index)


def _endpoint_problems(agreement: Agreement) -> Iterator[Problem]:
    names = [one.name for one in agreement.endpoints]
    addresses = [one.address for one in agreement.endpoints]
    first_of_name = {name: index for index, name in reversed(list(enumerate(names)))}
    first_of_address = {address: index for index, address in reversed(list(enumerate(addresses)))}
    for index, endpoint in enumerate(agreement.endpoints):
        at: Path = ("endpoints", index)
        if first_of_name[endpoint.name] != index:
            yield Problem((*at, "name"), f"{endpoint.name} is named twice", "give each endpoint a name of its own")
        if (other := first_of_address[endpoint.address]) != index:
            yield Problem(
                (*at, "address"),
                f"{endpoint.address} is the address of {names[other]} already",
                "list a server once; `capacity` says how much it takes",
            )


def _dependency_problems(agreement: Agreement) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, dependency in enumerate(agreement.depends_on):
        at: Path = ("dependsOn", index)
        yield from _dependency_itself(at, dependency, agreement.name)
        for name in dict.fromkeys(dependency.any_of):
            if name in seen:
                yield Problem(at, f"{name} is needed twice", "list an agreement once: its failures count once")
            seen.add(name)


def _dependency_itself(at: Path, dependency: Dependency, own_name: str) -> Iterator[Problem]:
    if own_name in dependency.any_of:
        yield Problem(at, f"{own_name} depends on itself", "name what it needs, or leave the line out")
    if len(set(dependency.any_of)) < len(dependency.any_of):
        yield Problem((*at, "anyOf"), "the same agreement twice is no alternative", "name each one once")
    if dependency.cached_ppb and not dependency.hard:
        yield Problem(
            (*at, "cached"),
            "a soft dependency does not count, cached or not",
            "leave `cached` out, or write kind: hard",
        )


def _breach_problems(agreement: Agreement) -> Iterator[Problem]:
    for index, action in enumerate(agreement.on_breach):
        at: Path = ("onBreach", index)
        if isinstance(action, RaiseClass) and action.to > agreement.service_class:
            own = agreement.service_class.name.lower()
            yield Problem(
                (*at, "raiseClass"),
                f"{action.to.name.lower()} comes after {own}, which the service has already",
                f"raiseClass: {ServiceClass.CRITICAL.name.lower()}",
            )
        yield from _repeated(at, "the action", list(agreement.on_breach), index)


def _repeated(at: Path, what: str, rows: Sequence[object], index: int) -> Iterator[Problem]:
    if rows.index(rows[index]) != index:
        yield Problem(at, f"{what} is there twice", "leave one of them out")
