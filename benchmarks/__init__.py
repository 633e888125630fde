"""Measurements that end in build/bench/*.json, each in the same form."""
