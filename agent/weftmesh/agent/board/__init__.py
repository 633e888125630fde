"""Serving the boards: reads, writes through the log, and watches."""
