"""Section `features` of params.yaml."""

from headstart.ground.settings import Count, Positive, Precision, Section, Seed


class Features(Section):
    """Section `features`: how the frozen part runs, and on how many views per image."""

    precision: Precision
    """precision of weights, arithmetic and stored rows"""
    batch_size: Count
    """images per forward pass"""
    max_gb: Positive
    """largest size of the features file in gigabytes (10^9 bytes)"""
    views: Count
    """views of each training image; 1 is the image alone, more are flips, crops and colours"""
    seed: Seed
    """seed of the views"""
