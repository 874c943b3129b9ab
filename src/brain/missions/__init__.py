"""Missions: durable graphs of tasks, done by agents that hold leases with fencing tokens."""
