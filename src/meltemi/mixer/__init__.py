"""Mixer: adapters, templates, and what its configuration must be to them; see ARCHITECTURE.md."""
