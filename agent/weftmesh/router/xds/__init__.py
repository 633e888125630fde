"""Routes over xDS v3: gRPC clients and Envoy follow the table without a line of code."""
