"""The certificate authority at work: keys, files, gRPC."""
