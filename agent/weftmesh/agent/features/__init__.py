"""The feature level on one node: what the members support, the check before a command, and who raises the level.

Whoever writes a command of a later level asks first: `await features.require(Feature.ROLES)`.
"""

from weftmesh.agent.features.gate import Features
from weftmesh.core.features.levels import Feature

__all__ = ["Feature", "Features"]
