"""Writes without a quorum: kept durably on the node, shown as pending, replayed in order."""
