"""What the node says: agreements and orders, its certificate, and how long ago it spoke."""
