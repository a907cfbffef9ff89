"""Do new images still look like those that a version was made of? Tests, reference and report."""
