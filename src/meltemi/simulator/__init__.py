"""The room `simulator`; see ARCHITECTURE.md."""
