"""What the agent does: sockets, files, clocks, and the kernel."""
