"""The command line: one subcommand for each stage, and those that a person starts with."""
