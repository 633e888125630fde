"""Whether every voter has what was acknowledged."""
