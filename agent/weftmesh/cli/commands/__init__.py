"""The commands, a module for each topic; imported when one of them runs."""
