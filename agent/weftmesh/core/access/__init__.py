"""Who may do what: roles of subjects on projects and on the mesh, as a replicated machine. Start at `machine`."""
