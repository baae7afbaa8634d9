"""An epoch of slices from the cache of `aaunet` through a DataLoader of two workers, at the driver's word (see worker.py).

usage: loader.py '{"cache": FOLDER, "mode": "reading", "size": 512, "batch": 8, "batches": 8, "device": "cpu", "threads": 2}'

mode: reading (the slices alone), torchvision (windowed and augmented by torchvision's transforms slice by slice in the
workers, as is customary) or batched (read by the workers, then windowed and augmented as batches by grid_sample).
"""

import json
import math
import sys
from pathlib import Path

import numpy
import torch
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms import v2

import worker

settings = json.loads(sys.argv[1])
mode, size, batch, batches = settings['mode'], settings['size'], settings['batch'], settings['batches']
device = settings['device']
torch.set_num_threads(settings['threads'])

WINDOW = (50, 200)
ROTATION, SCALE, SHIFT = 15, (0.9, 1.1), 0.06
CONTRAST, BRIGHTNESS, SATURATION = 0.15, 0.1, 0.1

moves_and_colours = v2.Compose([
    v2.RandomHorizontalFlip(),
    v2.RandomAffine(ROTATION, translate=(SHIFT, SHIFT), scale=SCALE, interpolation=v2.InterpolationMode.BILINEAR),
    v2.ColorJitter(brightness=BRIGHTNESS, contrast=CONTRAST, saturation=SATURATION),
])


def windowed(hu):
    center, width = WINDOW
    return ((hu.float() - (center - width / 2)) / width).clamp(0, 1)


class Slices(torch.utils.data.Dataset):
    """Three consecutive slices of HU (int16) and the labels of the middle one (uint8)."""

    def __init__(self, folder):
        self.hu, self.labels, self.all = {}, {}, []
        for case in json.loads((folder / 'index.json').read_text())['cases']:
            name, shape = case['name'], (len(case['counts']), size, size)
            self.hu[name] = numpy.memmap(folder / f'{name}.i16', '<i2', 'r', shape=shape)
            self.labels[name] = numpy.memmap(folder / f'{name}.u8', 'u1', 'r', shape=shape)
            self.all += [(name, k) for k in range(shape[0])]

    def __len__(self):
        return batch * batches

    def __getitem__(self, index):
        name, k = self.all[(index * 7) % len(self.all)]
        hu = self.hu[name]
        planes = [max(k - 1, 0), k, min(k + 1, len(hu) - 1)]
        image = torch.from_numpy(hu[planes])
        labels = torch.from_numpy(self.labels[name][k].copy())
        if mode != 'torchvision':
            return image, labels
        image, labels = moves_and_colours(tv_tensors.Image(windowed(image)), tv_tensors.Mask(labels))
        return image.as_subclass(torch.Tensor), labels.as_subclass(torch.Tensor).long()


def uniform(low, high):
    return torch.empty(batch, device=device).uniform_(low, high)


def augmented(image, labels):
    angle = uniform(-ROTATION, ROTATION) * (math.pi / 180)
    scale = 1 / uniform(*SCALE)
    mirror = 1 - 2 * (uniform(0, 1) < 0.5).float()
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [cos * mirror, -sin, uniform(-2 * SHIFT, 2 * SHIFT), sin * mirror, cos, uniform(-2 * SHIFT, 2 * SHIFT)]
    grid = functional.affine_grid(torch.stack(rows, 1).view(batch, 2, 3), image.shape, align_corners=False)
    image = functional.grid_sample(image, grid, align_corners=False)
    labels = functional.grid_sample(labels[:, None].float(), grid, mode='nearest', align_corners=False)[:, 0].long()
    factor = [uniform(1 - x, 1 + x).view(-1, 1, 1, 1) for x in (CONTRAST, SATURATION, BRIGHTNESS)]
    image = torch.lerp(image.mean((1, 2, 3), keepdim=True), image, factor[0])
    image = torch.lerp(image.mean(1, keepdim=True), image, factor[1])
    return (image * factor[2]).clamp(0, 1), labels


def epoch():
    for image, labels in loader:
        image, labels = image.to(device), labels.to(device)
        if mode == 'batched':
            augmented(windowed(image), labels)


baseline = worker.resident_mib()
loader = torch.utils.data.DataLoader(
    Slices(Path(settings['cache'])), batch, num_workers=2, persistent_workers=True, pin_memory=device != 'cpu'
)
worker.serve(epoch, baselineMib=baseline)
