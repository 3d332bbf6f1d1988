"""Facts to Envoy resources: pure queries."""
