"""How late critical work starts on a machine that is full, and what lanes leave to others."""
