"""The room `addons`; see ARCHITECTURE.md."""
