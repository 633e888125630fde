"""The router: probes endpoints, takes reports, decides where requests go, and says so on router.sock."""
