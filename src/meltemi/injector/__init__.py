"""The room `injector`; see ARCHITECTURE.md."""
