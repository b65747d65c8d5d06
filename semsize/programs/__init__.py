"""What the command `semsize` and the programs in tools/ run: a command line each; the work is done by the rooms."""
