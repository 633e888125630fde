"""What leaves a node: the records of the egress ledger and how they hang together. Start reading at `chain`."""
