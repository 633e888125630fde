"""Whether an evaluation shows that a version may become the active one."""

from __future__ import annotations

from weftmesh.core.learning.model import Evaluation


def objection(evaluation: Evaluation | None) -> str:
    """Why a version must not be promoted; empty when it beats the contributors' own baselines in every head."""
    if evaluation is None:
        return "it was never evaluated"
    seen = [head for head in evaluation.heads if head.examples > 0]
    if not seen:
        return "its evaluation saw no examples"
    worse = [head for head in seen if head.model_loss >= head.baseline_loss]
    return "; ".join(
        f"its loss in {head.head} is {head.model_loss / head.examples:.6g} an example, the baseline's "
        f"{head.baseline_loss / head.examples:.6g}"
        for head in worse
    )
