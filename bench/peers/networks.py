"""The nine networks of Table I in PyTorch, written for the benchmarks.

State-dict keys are those of `aaunet`, so that its weights load and both can be shown to compute the same.
"""

import timm
import torch
from torch import nn
from torch.nn import functional

CLASSES = 8


def upsample(x, scale=2, mode='bilinear', **options):
    return functional.interpolate(x, scale_factor=scale, mode=mode, **options)


# The paper's network: RSU with space (S) and channel (C) attention.

RSU_ENCODER = (64, 256, 512, 1024, 2048)
RSU_SKIPS = (16, 32, 64, 128, 256, 512)
RSU_BLOCKS = (256, 128, 64, 32, 16, 16)


def group_norm(channels):
    return nn.GroupNorm(min(32, channels // 4) if channels >= 16 else 1, channels)


def conv_group_norm(inputs, outputs):
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, group_norm(outputs), nn.ReLU(inplace=True))


class SpaceAttention(nn.Module):
    def __init__(self, skip, gate):
        super().__init__()
        hidden = skip // 2
        self.skip = nn.Sequential(nn.Conv2d(skip, hidden, 1, bias=False), group_norm(hidden))
        self.gate = nn.Sequential(nn.Conv2d(gate, hidden, 1, bias=False), group_norm(hidden))
        self.psi = nn.Sequential(nn.Conv2d(hidden, 1, 1), nn.InstanceNorm2d(1, affine=True), nn.Sigmoid())

    def forward(self, skip, gate):
        return skip * self.psi(functional.relu(self.skip(skip) + self.gate(gate)))


class ChannelAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = max(channels // 16, 4)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(functional.relu(self.fc1(pooled))))


class RSUBlock(nn.Module):
    def __init__(self, below, skip, out, enlarge, space, channel):
        super().__init__()
        self.enlarge = enlarge
        self.space = SpaceAttention(skip, below) if space and below else None
        self.conv1 = conv_group_norm(below + skip, out)
        self.conv2 = conv_group_norm(out, out)
        self.channel = ChannelAttention(out) if channel else None

    def forward(self, below, skip):
        x = skip
        if below is not None:
            x = torch.cat([below, self.space(skip, below) if self.space else skip], 1)
        if self.enlarge:
            x = upsample(x)
        x = self.conv2(self.conv1(x))
        return self.channel(x) if self.channel else x


class RSU(nn.Module):
    def __init__(self, space, channel):
        super().__init__()
        self.encoder = timm.create_model('resnest50d', features_only=True)
        self.stem = nn.Sequential(conv_group_norm(3, RSU_SKIPS[0]), conv_group_norm(RSU_SKIPS[0], RSU_SKIPS[0]))
        self.skips = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))
            for inputs, outputs in zip(RSU_ENCODER, RSU_SKIPS[1:])
        )
        below = (0, *RSU_BLOCKS)
        self.blocks = nn.ModuleList(
            RSUBlock(below[i], RSU_SKIPS[5 - i], out, i < 5, space, channel) for i, out in enumerate(RSU_BLOCKS)
        )
        self.head = nn.Conv2d(RSU_BLOCKS[-1], CLASSES, 1)

    def forward(self, image):
        skips = [self.stem(image)] + [skip(x) for skip, x in zip(self.skips, self.encoder(image))]
        x = None
        for block, skip in zip(self.blocks, reversed(skips)):
            x = block(x, skip)
        return self.head(x)


# U-Net decoder of segmentation_models.pytorch on ResNet-50 and DenseNet-121.


def conv_batch_norm(inputs, outputs):
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class UNetBlock(nn.Module):
    def __init__(self, below, skip, out):
        super().__init__()
        self.conv1 = conv_batch_norm(below + skip, out)
        self.conv2 = conv_batch_norm(out, out)

    def forward(self, below, skip):
        x = upsample(below, mode='nearest')
        return self.conv2(self.conv1(x if skip is None else torch.cat([x, skip], 1)))


class UNetDecoder(nn.Module):
    def __init__(self, encoder_channels, channels=(256, 128, 64, 32, 16)):
        super().__init__()
        coarsest, *skips = reversed(encoder_channels)
        below = (coarsest, *channels)
        self.blocks = nn.ModuleList(
            UNetBlock(below[i], skip, out) for i, (skip, out) in enumerate(zip([*skips, 0], channels))
        )

    def forward(self, features):
        x, *skips = reversed(features)
        for block, skip in zip(self.blocks, [*skips, None]):
            x = block(x, skip)
        return x


class ResNet50(nn.Module):
    channels = (64, 256, 512, 1024, 2048)

    def __init__(self):
        super().__init__()
        # The classifier's modules under their own names.
        for name, module in timm.create_model('resnet50', num_classes=0, global_pool='').named_children():
            self.add_module(name, module)

    def forward(self, image):
        features = [self.act1(self.bn1(self.conv1(image)))]
        x = self.maxpool(features[0])
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class DenseNet121(nn.Module):
    channels = (64, 256, 512, 1024, 1024)

    def __init__(self):
        super().__init__()
        self.features = timm.create_model('densenet121').features
        # The deepest feature is normalised but, unlike the classifier's, not rectified.
        self.features.norm5.act = nn.Identity()

    def forward(self, image):
        features = []
        x = image
        for name, module in self.features.named_children():
            if name.startswith('transition'):
                # The skip is what the transition has normalised.
                x = module.norm(x)
                features.append(x)
                x = module.pool(module.conv(x))
                continue
            x = module(x)
            if name in ('norm0', 'norm5'):
                features.append(x)
        return features


class UNet(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = UNetDecoder(encoder.channels)
        self.segmentation_head = nn.Sequential(nn.Conv2d(16, CLASSES, 3, padding=1))

    def forward(self, image):
        return self.segmentation_head(self.decoder(self.encoder(image)))


# The original UNet++ without deep supervision.

NESTED = (32, 64, 128, 256, 512)


class NestedNode(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))


class NestedUNet(nn.Module):
    def __init__(self):
        super().__init__()
        levels = len(NESTED)
        for column in range(levels):
            for level in range(levels - column):
                first = 3 if level == 0 else NESTED[level - 1]
                joined = NESTED[level] * column + (NESTED[level + 1] if column else 0)
                self.add_module(f'conv{level}_{column}', NestedNode(joined if column else first, NESTED[level]))
        self.final = nn.Conv2d(NESTED[0], CLASSES, 1)

    def forward(self, image):
        levels = len(NESTED)
        rows = [[] for _ in NESTED]
        for column in range(levels):
            for level in range(levels - column):
                if column:
                    below = upsample(rows[level + 1][column - 1], align_corners=True)
                    x = torch.cat([*rows[level], below], 1)
                else:
                    x = functional.max_pool2d(rows[level - 1][0], 2) if level else image
                rows[level].append(self.get_submodule(f'conv{level}_{column}')(x))
        return self.final(rows[0][-1])


# Attention U-Net in the form AttU_Net.

ATTENTION = (64, 128, 256, 512, 1024)


def conv_bn_relu(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Sequential(*conv_bn_relu(inputs, outputs), *conv_bn_relu(outputs, outputs))

    def forward(self, x):
        return self.conv(x)


class Enlarge(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), *conv_bn_relu(inputs, outputs))

    def forward(self, x):
        return self.up(x)


class AttentionGate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = channels // 2
        self.W_g = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.W_x = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.psi = nn.Sequential(nn.Conv2d(hidden, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, gate, skip):
        return skip * self.psi(functional.relu(self.W_g(gate) + self.W_x(skip)))


class AttentionUNet(nn.Module):
    def __init__(self):
        super().__init__()
        for level, channels in enumerate(ATTENTION):
            self.add_module(f'Conv{level + 1}', DoubleConv(ATTENTION[level - 1] if level else 3, channels))
        for level in (3, 2, 1, 0):
            channels = ATTENTION[level]
            self.add_module(f'Up{level + 2}', Enlarge(ATTENTION[level + 1], channels))
            self.add_module(f'Att{level + 2}', AttentionGate(channels))
            self.add_module(f'Up_conv{level + 2}', DoubleConv(2 * channels, channels))
        self.Conv_1x1 = nn.Conv2d(ATTENTION[0], CLASSES, 1)

    def forward(self, image):
        skips = [self.Conv1(image)]
        for level in (2, 3, 4, 5):
            skips.append(self.get_submodule(f'Conv{level}')(functional.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for level in (5, 4, 3, 2):
            enlarged = self.get_submodule(f'Up{level}')(x)
            attended = self.get_submodule(f'Att{level}')(enlarged, skips.pop())
            x = self.get_submodule(f'Up_conv{level}')(torch.cat([attended, enlarged], 1))
        return self.Conv_1x1(x)


# HRNetV2 for segmentation on timm's backbone.


class HRNetSegmentation(nn.Module):
    def __init__(self, width):
        super().__init__()
        backbone = timm.create_model(f'hrnet_w{width}', features_only=True, feature_location='')
        for name, module in backbone.named_children():
            self.add_module(name, module)
        # Not registered again: its forward runs the modules above.
        object.__setattr__(self, 'backbone', backbone)
        channels = 15 * width
        self.last_layer = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, CLASSES, 1)
        )

    def forward(self, image):
        finest, *coarser = self.backbone(image)[-4:]
        enlarged = [functional.interpolate(x, size=finest.shape[2:], mode='bilinear') for x in coarser]
        logits = self.last_layer(torch.cat([finest, *enlarged], 1))
        return functional.interpolate(logits, size=image.shape[2:], mode='bilinear')


NETWORKS = {
    'resnet50-unet': lambda: UNet(ResNet50()),
    'densenet121-unet': lambda: UNet(DenseNet121()),
    'unetplusplus': NestedUNet,
    'attention-unet': AttentionUNet,
    'hrnet-w48': lambda: HRNetSegmentation(48),
    'rsu': lambda: RSU(space=False, channel=False),
    'rsu-s': lambda: RSU(space=True, channel=False),
    'rsu-c': lambda: RSU(space=False, channel=True),
    'rsu-sc': lambda: RSU(space=True, channel=True),
}


def build(name):
    if name not in NETWORKS:
        raise SystemExit(f'expected one of {", ".join(NETWORKS)}, found {name}')
    return NETWORKS[name]()
