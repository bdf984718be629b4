"""Images and composition, built and run on real engines: `make containers-check`."""
