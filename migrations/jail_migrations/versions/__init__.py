"""One module a revision; once released, never changed."""
