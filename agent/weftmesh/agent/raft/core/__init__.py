"""pysyncobj's core, hardened: one layer a concern."""
