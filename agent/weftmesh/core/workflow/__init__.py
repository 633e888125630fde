"""Agreements as a graph of steps: what is measured, judged, decided and confirmed, and in what order."""
