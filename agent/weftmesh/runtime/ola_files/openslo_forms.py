"""The forms of OpenSLO v1 documents (github.com/OpenSLO/OpenSLO, version v1), as far as their keys go.

What a metric source's own `spec` may hold is up to the source, so it is left open here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Final, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from weftmesh.core.ola.model import WHOLE_PPB
from weftmesh.runtime.ola_files import fields
from weftmesh.runtime.ola_files.forms import Form
from weftmesh.runtime.ola_files.values import refused, shown

OPENSLO_VERSION: Final = "openslo/v1"
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhdwMQY])")


def _texts(value: object) -> tuple[str, ...]:
    found = value if isinstance(value, list) else [value]
    if found and all(isinstance(one, str) for one in found):
        return tuple(map(str, found))
    raise refused(f"{shown(value)} is neither text nor a list of texts", "put it in quotes")


def _any_text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise refused(f"{shown(value)} is not text", "put it in quotes")


def _span(value: object) -> str:
    if isinstance(value, str) and _SPAN.fullmatch(value):
        return value
    raise refused(
        f"{shown(value)} is no span of time of OpenSLO", "write a whole number and one of mhdwMQY, such as 28d"
    )


def _ratio(value: object) -> int:
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 < value < 1:
        ppb = Fraction(value) * WHOLE_PPB
        if ppb.denominator == 1:
            return ppb.numerator
        raise refused(f"{shown(value)} is finer than can be told", "write at most 9 digits behind the point")
    raise refused(f"{shown(value)} is no ratio between 0 and 1", "write it as in 0.999, or as targetPercent: 99.9")


def _number(value: object) -> Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    raise refused(f"{shown(value)} is no number", "write a number, without quotes")


_STRING: Final = WithJsonSchema({"type": "string", "examples": ["text"]})
AnyText = Annotated[str, PlainValidator(_any_text), _STRING]
Texts = Annotated[tuple[str, ...], PlainValidator(_texts), _STRING]
Span = Annotated[str, PlainValidator(_span), WithJsonSchema({"type": "string", "examples": ["28d"]})]
Ratio = Annotated[int, PlainValidator(_ratio), WithJsonSchema({"type": "number", "examples": [0.999]})]
Number = Annotated[Decimal, PlainValidator(_number), WithJsonSchema({"type": "number", "examples": [1]})]


class MetadataForm(Form):
    """What a document is called."""

    name: fields.Name = Field(examples=["web-availability"])
    display_name: AnyText = ""
    labels: dict[str, Texts] = Field(default_factory=dict)
    annotations: dict[str, AnyText] = Field(default_factory=dict)


class MetricSourceForm(Form):
    """Where a number comes from."""

    metric_source_ref: AnyText = ""
    type: AnyText = ""
    spec: dict[str, object] = Field(default_factory=dict)


class MetricForm(Form):
    """A number."""

    metric_source: MetricSourceForm = Field(examples=[{"type": "weftmesh", "spec": {"metric": "requests"}}])


class RatioMetricForm(Form):
    """Good ones, or bad ones, out of all."""

    counter: fields.Flag = True
    good: MetricForm | None = None
    bad: MetricForm | None = None
    total: MetricForm | None = None
    raw_type: AnyText = ""
    raw: MetricForm | None = None


class SliSpecForm(Form):
    """What is measured."""

    description: AnyText = ""
    ratio_metric: RatioMetricForm | None = None
    threshold_metric: MetricForm | None = None


class InlineSliForm(Form):
    """An indicator within an SLO."""

    metadata: MetadataForm | None = None
    spec: SliSpecForm


class CalendarForm(Form):
    """When a calendar's window begins."""

    start_time: AnyText
    time_zone: AnyText


class TimeWindowForm(Form):
    """Over which an SLO is judged."""

    duration: Span
    is_rolling: fields.Flag = Field(default=False, examples=[True])
    calendar: CalendarForm | None = None


class ObjectiveForm(Form):
    """What is promised."""

    display_name: AnyText = ""
    op: AnyText = ""
    value: Number | None = None
    target: Ratio | None = None
    target_percent: fields.Share | None = None
    time_slice_target: Number | None = None
    time_slice_window: Span = ""
    indicator: InlineSliForm | None = None
    indicator_ref: AnyText = ""
    composite_weight: Number | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.target is not None and self.target_percent is not None:
            raise refused("this has two targets", "keep either `target` or `targetPercent`")
        return self


class SloSpecForm(Form):
    """An objective of a service."""

    description: AnyText = ""
    service: fields.Name = Field(examples=["payments"])
    indicator: InlineSliForm | None = None
    indicator_ref: AnyText = ""
    time_window: list[TimeWindowForm] = Field(
        min_length=1, max_length=1, examples=[[{"duration": "28d", "isRolling": True}]]
    )
    budgeting_method: AnyText = Field(examples=["Occurrences"])
    objectives: list[ObjectiveForm] = Field(min_length=1, examples=[[{"target": 0.999}]])
    alert_policies: list[object] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_indicator(self) -> Self:
        if self.indicator is not None and self.indicator_ref:
            raise refused("this has two indicators", "keep either `indicator` or `indicatorRef`")
        return self


class ServiceSpecForm(Form):
    """A service."""

    description: AnyText = ""


class DataSourceSpecForm(Form):
    """Something that can be asked for numbers."""

    description: AnyText = ""
    type: AnyText
    connection_details: object = None


class BurnRateForm(Form):
    """When a budget burns too fast."""

    kind: AnyText
    op: AnyText = ""
    threshold: Number
    lookback_window: Span
    alert_after: Span = ""


class AlertConditionSpecForm(Form):
    """When to alert."""

    description: AnyText = ""
    severity: AnyText
    condition: BurnRateForm


class AlertPolicySpecForm(Form):
    """Whom to alert, and when."""

    description: AnyText = ""
    alert_when_no_data: fields.Flag = False
    alert_when_resolved: fields.Flag = False
    alert_when_breaching: fields.Flag = False
    conditions: list[dict[str, object]] = Field(examples=[[{"conditionRef": "burns-fast"}]])
    notification_targets: list[dict[str, object]] = Field(examples=[[{"targetRef": "on-call"}]])


class AlertTargetSpecForm(Form):
    """Whom to alert."""

    description: AnyText = ""
    target: AnyText


class DocumentForm(Form):
    """What every document begins with."""

    api_version: AnyText
    kind: AnyText
    metadata: MetadataForm = Field(examples=[{"name": "web-availability"}])


class SloForm(DocumentForm):
    """A service level objective."""

    spec: SloSpecForm


class SliForm(DocumentForm):
    """A service level indicator."""

    spec: SliSpecForm


class ServiceForm(DocumentForm):
    """A service."""

    spec: ServiceSpecForm = Field(default_factory=ServiceSpecForm)


class DataSourceForm(DocumentForm):
    """Something that can be asked for numbers."""

    spec: DataSourceSpecForm


class AlertConditionForm(DocumentForm):
    """When to alert."""

    spec: AlertConditionSpecForm


class AlertPolicyForm(DocumentForm):
    """Whom to alert, and when."""

    spec: AlertPolicySpecForm


class AlertTargetForm(DocumentForm):
    """Whom to alert."""

    spec: AlertTargetSpecForm


FORMS: Final[Mapping[str, type[DocumentForm]]] = {
    "SLO": SloForm,
    "SLI": SliForm,
    "Service": ServiceForm,
    "DataSource": DataSourceForm,
    "AlertCondition": AlertConditionForm,
    "AlertPolicy": AlertPolicyForm,
    "AlertNotificationTarget": AlertTargetForm,
}
