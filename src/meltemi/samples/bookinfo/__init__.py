"""Bookinfo: the four apps that Istio's tasks are told on, as our own code to the same contract.

`productpage` asks `details` and `reviews`; `reviews` v2 (black stars) and v3 (red stars) ask `ratings`. Each is
started as a module, `python -m meltemi.samples.bookinfo.productpage`, and listens on `PORT` (9080).
"""
