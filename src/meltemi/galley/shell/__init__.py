"""The acting floor of Galley: the Kubernetes client, reflectors, and the feed of the engine."""
