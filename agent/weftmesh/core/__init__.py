"""The pure heart of weftmesh: state machines and their vocabulary. No I/O, no clock, no global randomness."""
