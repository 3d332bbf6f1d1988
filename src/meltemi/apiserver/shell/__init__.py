"""What the API server does: the durable store, HTTP, tokens, and the clocks and dice they need."""
