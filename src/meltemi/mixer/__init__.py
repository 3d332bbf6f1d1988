"""The room `mixer`; see ARCHITECTURE.md."""
