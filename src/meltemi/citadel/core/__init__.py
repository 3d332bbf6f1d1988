"""Who may be whom: identities, requests, templates, times. Pure."""
