"""Images, composition, workflows and scripts, looked at without running them: `make package-check`."""
