"""The table of every validator, filled lazily; see ARCHITECTURE.md."""
