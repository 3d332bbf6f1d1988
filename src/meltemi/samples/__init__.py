"""Small apps of our own with the behaviour that Istio's documentation relies on.

`helloworld` answers with its version, `sleep` does nothing until it is told to end, `call` makes one request,
`load` makes many by the clock, `breaker` bursts of a few at once; `bookinfo` is the app of Istio's tasks. Each is
started as a module: `python -m meltemi.samples.helloworld`. `python -m meltemi.samples` puts their YAML into a folder.
"""
