"""The daemon's servers, and what every call shares."""
