"""What programs and people of this machine ask on router.sock."""
