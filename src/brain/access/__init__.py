"""Keys and roles: who may use the server, and for what."""
