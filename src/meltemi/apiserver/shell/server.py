"""The embedded Kubernetes-style API server: its public entry.

store = Store(layout.store)
authn = Authenticator(keys=FileKeys(path), static={token: users.admin()})
server = ApiServer(store, hooks=Hooks(...), authn=authn)
async with server.serve(unix=layout.api_socket, unix_tls=layout.api_tls_socket, ssl_context=context) as served:
    ...
"""
