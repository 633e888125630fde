"""Effort forecasts on the issues of 16 open-source projects: federated training beside what a team could do alone."""
