"""The replicated facts of agreements: a pure state machine of what was agreed, counted, confirmed and overridden."""
