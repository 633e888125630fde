"""Who runs next on an event loop that is shared: weighted fair classes, earliest deadline first within a class, ageing.

A pure machine: `machine.Scheduler` has the four verbs, `runtime.lanes` runs what it says.
"""
