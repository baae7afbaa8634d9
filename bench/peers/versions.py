"""Prints which versions the peers have."""

import platform
from importlib.metadata import PackageNotFoundError, version

names = ['torch', 'torchvision', 'timm', 'onnxruntime', 'pydicom', 'pylibjpeg', 'numpy']
found = [f'Python {platform.python_version()}']
for name in names:
    try:
        found.append(f'{name} {version(name)}')
    except PackageNotFoundError:
        pass
print(', '.join(found))
