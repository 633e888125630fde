"""The race against a real etcd: `python -m benchmarks.etcd`."""
