"""Training the finish-time forecast: each node sums over its own tasks, and their mean makes the next model."""
