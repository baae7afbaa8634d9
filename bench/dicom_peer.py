"""Reads a folder of CT slices with pydicom into a NumPy volume of HU; prints milliseconds a slice as JSON."""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy
import pydicom


def pixels(dataset):
    try:
        return dataset.pixel_array, "pydicom"
    except (RuntimeError, NotImplementedError):
        import imagecodecs

        frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
        array = imagecodecs.jpeg_decode(frame)
        return (array.view(numpy.int16) if dataset.PixelRepresentation else array), "imagecodecs"


def read(folder):
    slices = []
    decoder = ""
    for path in sorted(Path(folder).iterdir()):
        dataset = pydicom.dcmread(path)
        array, decoder = pixels(dataset)
        hu = array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        slices.append((float(dataset.ImagePositionPatient[2]), numpy.round(hu).astype(numpy.int16)))
    slices.sort(key=lambda pair: pair[0])
    return numpy.stack([array for _, array in slices]), decoder


folder, runs = sys.argv[1], int(sys.argv[2])
times = []
for run in range(runs + 1):
    start = time.perf_counter()
    volume, decoder = read(folder)
    if run > 0:
        times.append((time.perf_counter() - start) * 1000 / len(volume))
print(json.dumps({"ms_per_slice": statistics.median(times), "decoder": decoder}))
