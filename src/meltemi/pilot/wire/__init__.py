"""Protocol state machines of Pilot: delta ADS as a server (`ads`) and as a client (`ads_client`), and their messages.

Values in, values out: no socket, no clock. `pilot.shell` drives the server towards proxies; the agent's relay drives
the server towards its Envoy and the client towards Pilot.
"""
