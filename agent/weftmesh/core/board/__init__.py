"""The board: a pure state machine of projects and tasks. Start reading at `machine`."""
