"""Where messages become core values and core values become messages; nothing else in the tree does both."""
