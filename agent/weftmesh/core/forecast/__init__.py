"""Forecasts of a task: the maths that a node serves them with, in pure Python; training is in `weftmesh.learner`."""
