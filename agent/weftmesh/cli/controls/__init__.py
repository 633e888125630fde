"""Security controls of a node, each with the evidence that was just measured for it. The list is in `survey`."""
