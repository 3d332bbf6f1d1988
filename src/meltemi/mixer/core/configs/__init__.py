"""What the settings of adapters must be: a function for each adapter that checks more than the schema does.

Rules are those of the adapters' own `Validate`, and what would fail or do nothing once the adapter runs.
"""
