"""Finding particles with any engine, at several scales and in tiles."""
