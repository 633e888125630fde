"""What an audit log says: who did or tried what, when, from where, and what came of it. Never what a task says."""
