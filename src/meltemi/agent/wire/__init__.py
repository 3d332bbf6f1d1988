"""State machines of the streams that the agent relays: values in, values out."""
