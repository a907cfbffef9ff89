"""Whether new images still look like those that a version was made of."""
