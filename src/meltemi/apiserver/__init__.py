"""The embedded Kubernetes-style API server: the API that kubectl speaks, on one SQLite file, for one machine."""
