"""Reads a folder of CT slices with pydicom into a NumPy volume of HU, at the driver's word (see worker.py).

JPEG needs a decoder that pydicom finds (pylibjpeg, GDCM) or imagecodecs.
"""

import json
import sys
from pathlib import Path

import numpy
import pydicom

import worker


def pixels(dataset):
    try:
        return dataset.pixel_array
    except (RuntimeError, NotImplementedError):
        import imagecodecs

        frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
        array = imagecodecs.jpeg_decode(frame)
        return array.view(numpy.int16) if dataset.PixelRepresentation else array


def read():
    slices = []
    for path in sorted(Path(folder).iterdir()):
        dataset = pydicom.dcmread(path)
        hu = pixels(dataset) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        slices.append((float(dataset.ImagePositionPatient[2]), numpy.round(hu).astype(numpy.int16)))
    slices.sort(key=lambda pair: pair[0])
    return numpy.stack([array for _, array in slices])


folder = json.loads(sys.argv[1])['folder']
worker.serve(read, baselineMib=worker.resident_mib())
