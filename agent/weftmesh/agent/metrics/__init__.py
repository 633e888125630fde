"""What a node tells Prometheus and its kind about itself."""
