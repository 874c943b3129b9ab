"""Incident automation opens one incident for each story that needs a person, and carries it to its end.

An escalated threat or a critical health event opens the incident of its correlation id; what else happens in the story
joins its timeline. Each incident is mirrored to Jira and ServiceNow where these are set up, and their states flow back.
"""
