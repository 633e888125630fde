"""Backups: taken from a node, encrypted to recipients' keys, verified, and restored onto a fresh node."""
