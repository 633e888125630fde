"""Probes: TCP, HTTP, gRPC health and ICMP, each a small asynchronous question with a deadline, and when to ask them."""
