"""Tables, queries and migrations: everything that speaks SQL."""
