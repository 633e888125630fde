"""Operational level agreements: what teams owe each other, as data and as arithmetic."""
