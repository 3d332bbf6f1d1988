"""The room `console`; see ARCHITECTURE.md."""
