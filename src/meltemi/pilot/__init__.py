"""The room `pilot`; see ARCHITECTURE.md."""
