"""Where images come from: data.source, the sample, lists and folders to score."""
