"""Section `preprocess` of params.yaml."""

from headstart.ground.settings import Section


class Preprocess(Section):
    """Section `preprocess`: how images are resized, cropped and normalised."""

    weights: str = "IMAGENET1K_V1"
    """name of the torchvision weights whose transform is used"""
