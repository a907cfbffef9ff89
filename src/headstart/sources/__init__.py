"""Sources of images: data.source, the sample, lists and folders to score."""
