"""Stage features: activations at the cut, one row per image."""
