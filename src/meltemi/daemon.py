"""The one page that wires every process; see ARCHITECTURE.md."""
