"""Agreements, judged by the node that leads: breaches, classes, and tasks that tell people."""
