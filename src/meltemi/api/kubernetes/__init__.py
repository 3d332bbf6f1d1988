"""What Kubernetes says of its own kinds: schemas distilled from its OpenAPI, shipped as data."""
