"""The room `model`; see ARCHITECTURE.md."""
