"""The room `samples`; see ARCHITECTURE.md."""
