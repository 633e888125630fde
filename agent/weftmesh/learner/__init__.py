"""The learner: trains on a node's own board, started for a round; the only process on a node that loads numpy."""
