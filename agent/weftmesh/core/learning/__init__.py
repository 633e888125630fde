"""The replicated facts of federated learning: a pure state machine. Models and contributions never pass through it."""
