"""Stage preprocess: images resized, cropped and packed."""
