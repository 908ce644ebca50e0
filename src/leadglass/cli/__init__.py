"""The command line: one file a group of commands. Every command on a site passes the gate."""
