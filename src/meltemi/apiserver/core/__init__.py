"""What the API server decides, as pure functions: patches, apply, selectors, tables, discovery, rights."""
