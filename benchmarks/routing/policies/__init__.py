"""The policies that are compared. Each module says what its policies may see and where they are described."""
