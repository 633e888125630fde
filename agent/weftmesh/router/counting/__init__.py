"""Counts of what was good and what was not, in windows of five minutes, and how they reach the node."""
