"""The room `init`; see ARCHITECTURE.md."""
