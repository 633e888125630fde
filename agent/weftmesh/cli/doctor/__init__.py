"""Checks of a node and its surroundings, each with what it measured and the command that mends what it found."""
