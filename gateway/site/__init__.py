"""A site: what is started in which order, watched and told."""
