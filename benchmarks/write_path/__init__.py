"""CPU time of one small write, stage by stage."""
