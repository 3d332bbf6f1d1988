"""Decisions on Kubernetes documents: what ought to be, and the fewest writes that lead there.

Everything here is a plain function from documents (decoded JSON, never changed in place) to documents; the
loops that read and write them are in `controllers.shell`, the API server's admission calls some directly.
"""
