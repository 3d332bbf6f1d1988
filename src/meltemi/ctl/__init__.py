"""The room `ctl`; see ARCHITECTURE.md."""
