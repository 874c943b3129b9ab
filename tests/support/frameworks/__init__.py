"""Cases for the tools of agent frameworks: each file runs with pytest inside its framework's own environment."""
