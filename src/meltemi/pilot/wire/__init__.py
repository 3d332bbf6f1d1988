"""Protocol state machines of Pilot, and their messages.

ADS as a server: delta (`ads`) and state of the world (`sotw`); delta as a client (`ads_client`).

Values in, values out: no socket, no clock. `pilot.shell` drives the server towards proxies; the agent's relay drives
the server towards its Envoy and the client towards Pilot.
"""
