"""What GitHub, GitLab and Argo CD say of changes, as change events."""
