"""The room `galley`; see ARCHITECTURE.md."""
