"""Stage validate: the images found, checked and split."""
