"""Write what PyTorch computes with weights it saved itself, for bench/checkpoints.mjs to compare with.

usage: make-checkpoints.py OUT   (needs torch, torchvision and timm; the weights are random)

For each encoder: NAME.pth and NAME.safetensors (the classifier's state dict) and NAME.features.pth, a dictionary of the
input and the five features in inference mode.
"""

import os
import sys

import timm
import torch
import torchvision
from safetensors.torch import save_file


def randomise(net):
    """Statistics and scales as after a training: fresh ones would hide an exchange of names."""
    for name, tensor in net.state_dict().items():
        if name.endswith('running_var') or (tensor.ndim == 1 and name.endswith('weight')):
            tensor.uniform_(0.5, 1.5)
        elif tensor.ndim == 1 and tensor.is_floating_point():
            tensor.uniform_(-0.2, 0.2)


def build(name):
    """A classifier and a function from it and an image to the five features."""
    if name.startswith('resnet'):
        return getattr(torchvision.models, name)(weights=None), resnet_features
    if name.startswith('densenet'):
        return getattr(torchvision.models, name)(weights=None), densenet_features
    return timm.create_model(name, pretrained=False), timm_features


def resnet_features(net, x):
    stem = net.relu(net.bn1(net.conv1(x)))
    out = [stem, net.layer1(net.maxpool(stem))]
    for layer in (net.layer2, net.layer3, net.layer4):
        out.append(layer(out[-1]))
    return out


def densenet_features(net, x):
    out = []
    for name, module in net.features.named_children():
        if name.startswith('transition'):
            out.append(module.relu(module.norm(x)))
        x = module(x)
        if name in ('relu0', 'norm5'):
            out.append(x.clone())
    return out


def timm_features(net, x):
    pyramid = timm.create_model(net.default_cfg['architecture'], pretrained=False, features_only=True).eval()
    pyramid.load_state_dict(net.state_dict(), strict=False)
    return pyramid(x)


def main(out):
    os.makedirs(out, exist_ok=True)
    for name in ('resnet18', 'resnet50', 'densenet121', 'resnest14d', 'resnest26d', 'resnest50d', 'resnest101e'):
        torch.manual_seed(0)
        net, features = build(name)
        randomise(net)
        net.eval()
        torch.save(net.state_dict(), f'{out}/{name}.pth')
        save_file(net.state_dict(), f'{out}/{name}.safetensors')
        image = torch.randn(2, 3, 64, 96)
        with torch.no_grad():
            outputs = features(net, image)
        torch.save({'image': image, **{f'feature{i}': t for i, t in enumerate(outputs)}}, f'{out}/{name}.features.pth')
        print(name, torch.__version__, [list(t.shape) for t in outputs])


if __name__ == '__main__':
    main(sys.argv[1])
