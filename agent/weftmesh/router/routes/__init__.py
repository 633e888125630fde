"""The routes of this node: what is known of endpoints, their tables, when they are looked at, and what is kept."""
