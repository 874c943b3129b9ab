"""Approvals by links: those who may approve get a link by Slack, mail or a webhook, and answer in a browser."""
