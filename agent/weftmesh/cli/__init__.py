"""The `weftmesh` command."""
