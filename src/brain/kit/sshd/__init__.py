"""sshd's log: its lines in every form (`lines`, `journal`), their times (`times`), and the attempts (`attempts`)."""
