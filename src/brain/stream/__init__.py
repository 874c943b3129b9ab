"""The event stream: journal, backends, consumer groups, dead letters, replay."""
