"""Whether the nodes can be upgraded one at a time, and how far that is."""
