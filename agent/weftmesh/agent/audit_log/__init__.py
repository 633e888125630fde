"""The audit log of a node: what the gate tells (`access.enforcing`), written down in a hash chain."""
