"""The room `telemetry`; see ARCHITECTURE.md."""
