"""The room `envoy`; see ARCHITECTURE.md."""
