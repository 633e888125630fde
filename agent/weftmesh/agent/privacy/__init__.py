"""What left this node: the egress ledger, its report and its verification. Start reading at `ledger`."""
