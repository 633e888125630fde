"""Secure aggregation: a coordinator learns the sum of its contributors' vectors and none of the vectors.

The protocol is that of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS
2017), with signed keys and with the set of survivors agreed in the replicated log instead of among the contributors.
Read `messages`, then `contributor` and `aggregator`; docs/security.md says what it protects and what it does not.
"""
