"""One module of schemas per resource."""
