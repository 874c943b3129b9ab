"""The commands of threats, and of what makes threats out of logs."""
