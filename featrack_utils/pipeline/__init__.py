"""A run: its profile, artefacts on disk, notebooks and the book's pages."""
