"""PID 1 of the local mesh: synchronous, small, and without any idea of a mesh."""
