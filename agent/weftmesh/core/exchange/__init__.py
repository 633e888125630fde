"""Boards from and for other programs: columns to fields, rows to tasks, and a plan of what to write."""
