"""The room `citadel`; see ARCHITECTURE.md."""
