"""What stands at the doors of every process that others call: connections, callers, certificates, refusals."""
