"""Lanes: work in slices on the event loop by class, heavy work in child processes, and a critical lane of its own."""
