"""Trust on one node: revoked certificates are turned away and cut off, and rotations of the authority are followed."""
