"""Heavy work in child processes: a few of them, with low priority, each killed when its work is not done in time."""
