"""Snapshots: their files, and their way to a peer."""
