"""The critical lane: ticks in a child process that runs before everything else on the machine (SCHED_RR)."""
