"""The messages of the certificate service."""
