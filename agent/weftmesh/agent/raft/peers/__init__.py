"""How peers reach each other."""
