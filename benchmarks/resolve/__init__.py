"""What a router costs and how quick it is."""
