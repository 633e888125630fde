"""From the form of a file to the agreement that it describes."""

from __future__ import annotations

from collections.abc import Iterator

from weftmesh.core.ola.model import (
    Agreement,
    BreachAction,
    Dependency,
    Endpoint,
    Exclusion,
    Hours,
    Objective,
    OpenHours,
    OpenTask,
    PacketLoss,
    Probe,
    RaiseClass,
    ResponseTime,
    RouteSettings,
    Throughput,
    Uptime,
)
from weftmesh.core.ola.recurrence import RULE_START
from weftmesh.runtime.ola_files.forms import (
    BreachForm,
    DependencyForm,
    ExclusionForm,
    HoursForm,
    ObjectivesForm,
    OlaForm,
    SpecForm,
)


def agreement_of(form: OlaForm) -> Agreement:
    """The agreement that a file describes; it is not yet checked for contradictions."""
    spec = form.spec
    return Agreement(
        name=form.metadata.name,
        provider=spec.provider,
        consumer=spec.consumer,
        service=spec.service,
        objectives=tuple(_objectives(spec.objectives)),
        window_s=spec.window,
        service_class=spec.class_,
        hours=_hours(spec.hours),
        probes=_probes(spec),
        endpoints=_endpoints(spec),
        depends_on=tuple(_dependency(one) for one in spec.depends_on),
        route=RouteSettings(spec.route.mode, spec.route.max_ejection_percent),
        on_breach=tuple(_action(one) for one in spec.on_breach),
        exclusions=tuple(_exclusion(one) for one in spec.exclusions),
        review=spec.review,
        labels=tuple(sorted(form.metadata.labels.items())),
    )


def _objectives(form: ObjectivesForm) -> Iterator[Objective]:
    if form.uptime is not None:
        yield Uptime(form.uptime)
    for one in form.response_time:
        yield ResponseTime(one.percentile, one.threshold)
    if form.packet_loss is not None:
        yield PacketLoss(form.packet_loss)
    if form.throughput is not None:
        yield Throughput(form.throughput.percent, form.throughput.at_least, form.throughput.per)


def _hours(form: HoursForm | None) -> Hours:
    if form is None:
        return Hours()
    return Hours(form.timezone, tuple(OpenHours(tuple(sorted(one.days)), one.from_, one.to) for one in form.weekly))


def _probes(spec: SpecForm) -> tuple[Probe, ...]:
    return tuple(Probe(one.kind, one.every, one.timeout, one.path, one.tls) for one in spec.probes)


def _endpoints(spec: SpecForm) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(one.name, one.address, one.capacity, one.zone, one.node) for one in spec.endpoints)


def _dependency(form: DependencyForm) -> Dependency:
    names = (form.ola,) if form.ola else tuple(one.ola for one in form.any_of)
    return Dependency(names, form.kind, form.cached.hit_ratio if form.cached is not None else 0)


def _action(form: BreachForm) -> BreachAction:
    if form.open_task is not None:
        return OpenTask(form.open_task.project, form.open_task.title)
    assert form.raise_class is not None  # noqa: S101, the form has one of both
    return RaiseClass(form.raise_class)


def _exclusion(form: ExclusionForm) -> Exclusion:
    starts_at = form.from_ or RULE_START
    return Exclusion(form.reason, starts_at, form.duration, form.timezone, form.rrule, form.author)
