"""Metrics of a process in OpenMetrics: what they are, how they are counted, written down and served."""
