"""Command lines of `semsize` and of the programs in tools/; the other packages of `semsize` do the work."""
