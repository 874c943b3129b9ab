"""Playbooks: what is done about an event, step by step, each decided by the policy engine and done once."""
