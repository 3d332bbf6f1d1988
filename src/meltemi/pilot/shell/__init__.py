"""Pilot at work: the engine's owner, the gRPC streams, who accepted what."""
