"""The room `controllers`; see ARCHITECTURE.md."""
