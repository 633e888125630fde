"""Agreements on one node: who may ask for what, and what the node's replica says of them."""
