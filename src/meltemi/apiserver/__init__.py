"""The room `apiserver`; see ARCHITECTURE.md."""
