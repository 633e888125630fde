"""The form of an agreement's file: what is written where. What the values mean is in `weftmesh.core.ola.model`."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from weftmesh.core.ola import problems as limits
from weftmesh.core.ola.model import RouteMode, ServiceClass
from weftmesh.runtime.ola_files import fields
from weftmesh.runtime.ola_files.values import one_of, refused, shown

API_VERSION: Final = "weftmesh/v1"
KIND: Final = "OLA"


class Form(BaseModel):
    """A mapping whose keys are known: any other is an error."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class MetadataForm(Form):
    """What it is called."""

    name: fields.Name = Field(description="Unique in the mesh.", examples=["payments-api"])
    labels: dict[fields.Name, fields.Line] = Field(
        default={}, max_length=limits.LABELS_MAX, description="For people and filters.", examples=[{"team": "payments"}]
    )


class OpenHoursForm(Form):
    """Some days of the week, and when on each of them."""

    days: list[fields.Day] = Field(min_length=1, max_length=7, examples=[["mon", "tue", "wed", "thu", "fri"]])
    from_: fields.Clock = Field(alias="from", description="Local time, in quotes.", examples=["07:00"])
    to: fields.Clock = Field(description="Not included; at most 24:00.", examples=["19:00"])


class HoursForm(Form):
    """When an agreement holds."""

    timezone: fields.TimeZone = Field(default="UTC", description="Of the IANA database. Absent: UTC.")
    weekly: list[OpenHoursForm] = Field(
        min_length=1,
        max_length=limits.OPEN_HOURS_MAX,
        examples=[[{"days": ["mon"], "from": "07:00", "to": "19:00"}]],
    )


class ResponseTimeForm(Form):
    """So many of the answers take no longer."""

    percentile: fields.Share = Field(description="In percent: 99 is the 99th.", examples=[99])
    threshold: fields.Threshold = Field(description="How long an answer may take.", examples=["60ms"])


class ThroughputForm(Form):
    """So many requests are answered in each part of time, or all there are."""

    at_least: fields.Requests = Field(description="Requests.", examples=[200])
    per: fields.Part = Field(description="In a part of this length.", examples=["1s"])
    percent: fields.Share = Field(default=999_000_000, description="Of the parts. Absent: 99.9.", examples=[99.9])


class ObjectivesForm(Form):
    """What is promised: at least one of these."""

    uptime: fields.Share | None = Field(
        default=None,
        description="Percent of the requests and probes that are answered without an error, at least.",
        examples=[99.95],
    )
    response_time: list[ResponseTimeForm] = Field(
        default=[], max_length=limits.OBJECTIVES_MAX, examples=[[{"percentile": 99, "threshold": "60ms"}]]
    )
    packet_loss: fields.SmallShare | None = Field(
        default=None, description="Percent of the packets that may get lost, at most.", examples=[0.5]
    )
    throughput: ThroughputForm | None = Field(default=None, examples=[{"atLeast": 200, "per": "1s"}])


class ProbeForm(Form):
    """How each endpoint is asked."""

    kind: fields.KindOfProbe = Field(examples=["http"])
    every: fields.ProbeSpan = Field(description="From one probe to the next.", examples=["1s"])
    timeout: fields.ProbeSpan = Field(description="Shorter than `every`.", examples=["300ms"])
    path: fields.Line = Field(
        default="", description="Of http: the path; of grpc: the service that is asked for.", examples=["/healthz"]
    )
    tls: fields.Flag = Field(default=False, description="Whether the probe speaks TLS. Absent: false.")


class EndpointForm(Form):
    """One server of the service."""

    name: fields.Name = Field(description="Unique in the agreement.", examples=["pay-1"])
    address: fields.Address = Field(description="Host and port.", examples=["10.0.0.11:8443"])
    capacity: fields.Capacity = Field(default=1, description="Requests that it works on at a time. Absent: 1.")
    zone: fields.Line = Field(default="", description="What fails together.", examples=["a"])
    node: fields.Name = Field(default="", description="The node of the mesh that it runs on.", examples=["node1"])


class AlternativeForm(Form):
    """One of several agreements that do."""

    ola: fields.Name = Field(examples=["bank-a"])


class CachedForm(Form):
    """How much of a dependency a cache takes over."""

    hit_ratio: fields.SmallShare = Field(description="Percent of the requests.", examples=[90])


class DependencyForm(Form):
    """What the service needs: `ola`, or one out of `anyOf`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["ola"]}, {"required": ["anyOf"]}]})

    ola: fields.Name = Field(default="", description="The agreement of what is needed.", examples=["ledger"])
    any_of: list[AlternativeForm] = Field(
        default=[], max_length=limits.ANY_OF_MAX, description="One of these is enough.", examples=[[{"ola": "bank-a"}]]
    )
    kind: fields.Hard = Field(description="Without a soft one the service is good nevertheless.", examples=["hard"])
    cached: CachedForm | None = Field(default=None, examples=[{"hitRatio": 90}])

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.ola) == bool(self.any_of):
            raise refused("this has to name either `ola` or `anyOf`", "ola: ledger, or anyOf: [{ola: bank-a}]")
        return self


class RouteForm(Form):
    """How the service is routed."""

    mode: fields.Mode = Field(
        default_factory=lambda: RouteMode.OBSERVE, description="How far the router goes by itself. Absent: observe."
    )
    max_ejection_percent: fields.Percent = Field(default=50, description="Of the endpoints. Absent: 50.")


class OpenTaskForm(Form):
    """A task on the board."""

    project: fields.Line = Field(examples=["OPS"])
    title: fields.Line = Field(examples=["payments burns its budget"])


class BreachForm(Form):
    """What happens when the budget burns: `raiseClass` or `openTask`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["raiseClass"]}, {"required": ["openTask"]}]})

    raise_class: fields.Class | None = Field(default=None, examples=["critical"])
    open_task: OpenTaskForm | None = Field(default=None, examples=[{"project": "OPS", "title": "..."}])

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if (self.raise_class is None) == (self.open_task is None):
            raise refused("this has to be either `raiseClass` or `openTask`", "make an entry for each action")
        return self


class ExclusionForm(Form):
    """What does not count: once `from` a time, or again and again by `rrule`."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["from"]}, {"required": ["rrule"]}]})

    reason: fields.Line = Field(description="For whoever reads the report.", examples=["weekly patching"])
    from_: fields.LocalTime = Field(default="", alias="from", description="Local; of a rule: from when it holds.")
    duration: fields.Excluded = Field(examples=["2h"])
    rrule: fields.Rule = Field(default="", description="RFC 5545.")
    timezone: fields.TimeZone = Field(default="UTC", description="Of the IANA database. Absent: UTC.")
    author: fields.Line = Field(default="", description="Who decided it.", examples=["ann"])

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if not (self.from_ or self.rrule):
            raise refused("this does not say when", 'add from: "2026-12-24T18:00", or an rrule')
        return self


class SpecForm(Form):
    """What one team owes another about one service."""

    provider: fields.Line = Field(description="Who owes.", examples=["team-payments"])
    consumer: fields.Line = Field(description="Whom.", examples=["team-checkout"])
    service: fields.Name = Field(description="The route's name.", examples=["payments"])
    review: fields.Date = Field(default="", description="When people look at it again.", examples=["2027-03-01"])
    class_: fields.Class = Field(
        default_factory=lambda: ServiceClass.NORMAL,
        alias="class",
        description="What comes first when there is not enough for all. Absent: normal.",
    )
    window: fields.Window = Field(description="Over which objectives are judged.", examples=["28d"])
    hours: HoursForm | None = Field(default=None, description="Absent: always.")
    objectives: ObjectivesForm = Field(examples=[{"uptime": 99.9}])
    probes: list[ProbeForm] = Field(default=[], max_length=limits.PROBES_MAX)
    endpoints: list[EndpointForm] = Field(default=[], max_length=limits.ENDPOINTS_MAX)
    depends_on: list[DependencyForm] = Field(default=[], max_length=limits.DEPENDENCIES_MAX)
    route: RouteForm = Field(default_factory=RouteForm)
    on_breach: list[BreachForm] = Field(default=[], max_length=limits.ACTIONS_MAX)
    exclusions: list[ExclusionForm] = Field(default=[], max_length=limits.EXCLUSIONS_MAX)


def _parse_version(value: object) -> str:
    if value == API_VERSION:
        return API_VERSION
    raise refused(f"{shown(value)} is not read here", f"use {API_VERSION}, or openslo/v1 for documents of OpenSLO")


class OlaForm(Form):
    """An operational level agreement."""

    model_config = ConfigDict(title="weftmesh OLA")

    api_version: Annotated[str, PlainValidator(_parse_version), WithJsonSchema({"const": API_VERSION})]
    kind: Annotated[str, PlainValidator(one_of({KIND: KIND})), WithJsonSchema({"const": KIND})]
    metadata: MetadataForm = Field(examples=[{"name": "payments-api"}])
    spec: SpecForm
