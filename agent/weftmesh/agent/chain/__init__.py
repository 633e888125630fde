"""Hash chains on disk: what is appended stays as it was, or somebody can tell. The egress ledger and the audit log."""
