"""Which endpoint gets the next request, and with which weight: pure. Start reading at `choosing`, then `table`."""
