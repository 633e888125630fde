"""A discrete-event simulation of routing policies. Start reading at `scenario`, then `engine`."""
