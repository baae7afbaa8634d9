// Reads a study, says what it is and shows it. Needs no LibTorch.
//   node examples/dist/read-a-study.js STUDY SHEET.png      STUDY: a DICOM folder, zip or file, or NIfTI
import { writeFile } from 'node:fs/promises';

import { spacingOf, tiltDegrees, toHuVolume, valueRange } from '@aaunet/imaging';
import { readVolume } from '@aaunet/imaging/node';
import { renderScanSheet } from 'aaunet';

const [study, sheet] = process.argv.slice(2);
if (study === undefined || sheet === undefined) throw new Error('Expected STUDY SHEET.png');

const read = await readVolume(study);
const scan = toHuVolume(read.volume);
const problems = read.source === 'dicom' ? read.series.problems.map(({ message }) => message) : [];

console.log(`${scan.slices} slices of ${scan.columns}x${scan.rows} pixels`);
console.log(
  `spacing ${spacingOf(scan.affine)
    .map((mm) => mm.toFixed(2))
    .join(' x ')} mm, gantry tilt ${tiltDegrees(scan.affine).toFixed(1)} degrees`,
);
const { min, max, mean } = valueRange(scan);
console.log(`${min} to ${max} HU, mean ${mean.toFixed(0)} HU`);
for (const problem of problems) console.log(`! ${problem}`);

await writeFile(sheet, renderScanSheet(scan, { title: 'Scan', notices: problems }));
