"""The origin article's own loop: in every epoch every file is decoded and the whole network is run."""

import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import VGG16_Weights, vgg16


def article_epochs(images: Path, epochs: int, batch_size: int = 16) -> list[float]:
    """Seconds an epoch of the article's training over a folder of images: fp32, `classifier[6]` replaced.

    The weights are random: their numbers do not change the time.
    """
    data = ImageFolder(str(images), transform=VGG16_Weights.IMAGENET1K_V1.transforms())
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    model = vgg16(weights=None)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.classifier[6] = nn.Linear(4096, len(data.classes))
    optimizer = torch.optim.Adam(model.classifier[6].parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        model.train()
        for batch, labels in loader:
            optimizer.zero_grad()
            loss = loss_of(model(batch), labels)
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds
