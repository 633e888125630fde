"""Noise for differential privacy: exact samples, what a release costs, and how contributors share one sum's noise."""
