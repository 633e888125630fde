"""Who may call what on this node: `permissions` is the table, `authorizing` decides, `enforcing` is the gate."""
