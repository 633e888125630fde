"""Which authorities and certificates a mesh trusts: a replicated machine of revocations and of authority rotations."""
