"""The typed, asynchronous client library for the board and the mesh."""
