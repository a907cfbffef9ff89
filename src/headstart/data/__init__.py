"""Images: manifest, expectations, splits, pixels, packing and the sample set."""
