"""Pure: which templates and adapters there are, and checks of their objects, alone and together."""
