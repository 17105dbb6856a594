"""Small labelled images whose failures are known."""

import numpy as np

from lookwider.classes import Classes
from lookwider.data import Sample

NAMES = ("sky", "water", "boat", "road", "car")
CLASSES = Classes.named(NAMES)
SKY, WATER, BOAT, ROAD, CAR = range(5)


class Samples:
    """A data set in memory."""

    def __init__(self, samples, classes=CLASSES):
        self.samples = samples
        self.classes = classes
        self.extra_classes = {}
        self.names = tuple(each.name for each in samples)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def sample(label, name="image", contrast=100):
    """Return a labelled image in which each class is ``contrast`` brighter than the one before."""
    label = np.asarray(label, np.uint8)
    grey = np.where(label == 255, 0, 10 + (label.astype(int) * contrast) % 240)
    noise = np.random.default_rng(0).integers(-5, 6, label.shape)
    image = np.clip(grey + noise, 0, 255).astype(np.uint8)
    return Sample(np.repeat(image[:, :, None], 3, 2), label, name)


def lake(thing=BOAT, ground=WATER):
    """Return the label of a thing of 6 x 8 pixels on its ground, under the sky: 20 x 30."""
    label = np.full((20, 30), ground, np.uint8)
    label[:6] = SKY
    label[10:16, 10:18] = thing
    return label


def training():
    """Return images of boats on lakes and cars on roads."""
    return Samples([sample(lake(), "lake"), sample(lake(CAR, ROAD), "road")])
