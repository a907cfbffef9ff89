"""Section `features` of params.yaml."""

from headstart.ground.settings import Count, Positive, Precision, Section, Seed


class Features(Section):
    """Section `features`: how the frozen part runs, and on how many views per image."""

    precision: Precision = "fp32"
    """precision of weights, arithmetic and stored rows"""
    batch_size: Count = 16
    """images per forward pass"""
    max_gb: Positive = 50
    """largest size of the features file in gigabytes (10^9 bytes)"""
    views: Count = 1
    """views of each training image; 1 is the image alone, more are flips, crops and colours"""
    seed: Seed = 0
    """seed of the views"""
