"""The room `lang`; see ARCHITECTURE.md."""
