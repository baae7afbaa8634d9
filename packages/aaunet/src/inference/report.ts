import {
  LABELS,
  type LabelName,
  type Volume,
  affineColumn,
  isBlood,
  medianOf,
  sliceNormal,
  spacingOf,
  tiltDegrees,
  voxelVolumesMl,
} from '@aaunet/imaging';

import { measureLesions, type LesionMeasures } from './lesion-measures.js';

/** Something that the reader of a result should know, with a code for programs. */
export interface Problem {
  readonly code: string;
  readonly message: string;
}

/** Which network made a result. */
export interface ModelIdentity {
  /** Registry name such as "rsu-sc". */
  readonly name: string;
  /** Types that its training data marked: it can say nothing of the others. */
  readonly labels: readonly LabelName[];
  /** True where it was trained on phantoms: its results then mean nothing for patients. */
  readonly syntheticWeights: boolean;
  /** True where the HU that it was trained on were approximate. */
  readonly approximateHu?: boolean | undefined;
  /** SHA-256 of the weights file; of several networks that decide together, of their hashes. */
  readonly sha256?: string | undefined;
  /** Each network, where there may be several. */
  readonly members?: readonly { readonly name: string; readonly sha256: string }[] | undefined;
}

export interface ReportContext {
  /** Name of the output folder. */
  readonly name: string;
  readonly source: 'dicom' | 'nifti';
  readonly model: ModelIdentity;
  /** What reading and preprocessing found. */
  readonly problems: readonly Problem[];
  /** Program and version, such as "aaunet 0.1.0". */
  readonly software: string;
}

/** What was found of one type. Slices are numbered from 1 in the order of the volume. */
export interface TypeFinding {
  readonly id: number;
  readonly name: LabelName;
  readonly title: string;
  /** False where the network's training data do not mark this type. */
  readonly assessed: boolean;
  /** Null where it is not assessed, which is not none; so is the volume. */
  readonly voxels: number | null;
  readonly volumeMl: number | null;
  readonly slices: readonly number[];
  /** The slice on which the type covers the largest area; null where there is none. */
  readonly largest: { readonly slice: number; readonly areaMm2: number } | null;
  /** Number of lesions (connected voxels), and the largest one's measures; null where there is none. */
  readonly lesions: number;
  readonly largestLesion: LesionMeasures | null;
}

/** report.json; it holds no patient identifiers. */
export interface SegmentationReport {
  readonly format: 'aaunet-report-3';
  readonly name: string;
  readonly software: string;
  readonly researchUseOnly: true;
  readonly syntheticWeights: boolean;
  readonly notice: string;
  readonly model: {
    readonly name: string;
    readonly sha256: string | null;
    readonly assessedTypes: readonly LabelName[];
  };
  readonly source: 'dicom' | 'nifti';
  readonly geometry: {
    readonly columns: number;
    readonly rows: number;
    readonly slices: number;
    /** Between columns, between rows, from slice to slice (mean), mm. */
    readonly spacingMm: readonly [number, number, number];
    readonly tiltDegrees: number;
    /** Distances of neighbouring slices' positions, mm (under a tilt the table's steps); null for a single slice. */
    readonly stepMm: { readonly min: number; readonly median: number; readonly max: number } | null;
    readonly unevenSteps: boolean;
    /** Where steps are uneven: place of each slice along the normal, from the first, mm. */
    readonly sliceOffsetsMm: readonly number[] | null;
    /** Where steps are uneven: the extent that each slice stands for in the volumes, mm. */
    readonly sliceExtentsMm: readonly number[] | null;
  };
  readonly types: readonly TypeFinding[];
  /** Of all assessed types but air. */
  readonly bloodMl: number;
  readonly problems: readonly Problem[];
}

/** Decimals of volumes in mL: enough to find every voxel in them again. */
const ML_DIGITS = 9;

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Place of each slice along the normal in mm, from the first: from the true positions where they are known. */
function sliceOffsets({ affine, positions, slices }: Volume): number[] {
  const normal = sliceNormal(affine);
  const first = positions?.[0];
  if (positions && first) {
    // Positions are LPS+, the normal RAS+: x and y change sign.
    return positions.map(
      (place) =>
        -(place[0] - first[0]) * normal[0] - (place[1] - first[1]) * normal[1] + (place[2] - first[2]) * normal[2],
    );
  }
  const step = affineColumn(affine, 2);
  const along = step[0] * normal[0] + step[1] * normal[1] + step[2] * normal[2];
  return Array.from({ length: slices }, (_, k) => k * along);
}

function describeGeometry(volume: Volume): SegmentationReport['geometry'] {
  const { columns, rows, slices, affine, extents } = volume;
  const offsets = sliceOffsets(volume);
  // Offsets run along the normal; positions differ by the table's step, which a tilt makes longer.
  const stretch = 1 / Math.cos((tiltDegrees(affine) * Math.PI) / 180);
  const steps = offsets
    .slice(1)
    .map((offset, k) => Math.abs(offset - offsets[k]!) * stretch)
    .sort((a, b) => a - b);
  const unevenSteps = steps.length > 0 && steps.at(-1)! - steps[0]! > 0.01;
  const [columnSpacing, rowSpacing, sliceSpacing] = spacingOf(affine).map((mm) => round(mm, 4));
  return {
    columns,
    rows,
    slices,
    spacingMm: [columnSpacing!, rowSpacing!, sliceSpacing!],
    tiltDegrees: round(tiltDegrees(affine), 2),
    stepMm:
      steps.length === 0
        ? null
        : { min: round(steps[0]!, 3), median: round(medianOf(steps), 3), max: round(steps.at(-1)!, 3) },
    unevenSteps,
    sliceOffsetsMm: unevenSteps ? offsets.map((mm) => round(mm, 3)) : null,
    sliceExtentsMm: unevenSteps && extents ? extents.map((mm) => round(mm, 3)) : null,
  };
}

function countPerSlice({ data, slices, rows, columns }: Volume<Uint8Array>): Float64Array[] {
  return Array.from({ length: slices }, (_, k) => {
    const counts = new Float64Array(256);
    for (const label of data.subarray(k * rows * columns, (k + 1) * rows * columns)) counts[label]!++;
    return counts;
  });
}

/** Whether two volumes have the same size and affine. */
function hasSameGrid(a: Volume, b: Volume): boolean {
  return (
    a.slices === b.slices &&
    a.rows === b.rows &&
    a.columns === b.columns &&
    a.affine.every((row, i) => row.every((value, j) => value === b.affine[i]![j]))
  );
}

/**
 * Measures a label map (labels 0 to 7 in the scan's geometry) and describes the scan: volumes in mL come from the true
 * extents of the slices where these are uneven.
 *
 * @throws Error if the label map has another geometry than the scan, or an unknown label.
 */
export function makeReport(scan: Volume, labelMap: Volume<Uint8Array>, context: ReportContext): SegmentationReport {
  if (!hasSameGrid(scan, labelMap)) {
    throw new Error(
      `Expected a label map in the scan's geometry (${scan.columns} x ${scan.rows} x ${scan.slices}), found ${labelMap.columns} x ${labelMap.rows} x ${labelMap.slices} or another affine.`,
    );
  }
  const counts = countPerSlice(labelMap);
  const unknown = counts
    .flatMap((slice) => [...slice.keys()].filter((label) => slice[label]! > 0))
    .find((label) => label > LABELS.length);
  if (unknown !== undefined)
    throw new Error(`Expected labels 0 to ${LABELS.length} in the label map, found ${unknown}.`);
  const voxelMl = voxelVolumesMl(scan);
  const [columnSpacing, rowSpacing] = spacingOf(scan.affine);
  const types = LABELS.map(({ id, name, title }): TypeFinding => {
    const voxels = counts.map((slice) => slice[id]!);
    const slices = voxels.flatMap((count, k) => (count > 0 ? [k + 1] : []));
    const most = slices.reduce((best, slice) => (voxels[slice - 1]! > (voxels[best - 1] ?? 0) ? slice : best), 0);
    const assessed = context.model.labels.includes(name);
    const volumeMl = voxels.reduce((sum, count, k) => sum + count * voxelMl[k]!, 0);
    return {
      id,
      name,
      title,
      assessed,
      voxels: assessed ? voxels.reduce((sum, count) => sum + count, 0) : null,
      volumeMl: assessed ? round(volumeMl, ML_DIGITS) : null,
      slices,
      largest: most === 0 ? null : { slice: most, areaMm2: round(voxels[most - 1]! * columnSpacing * rowSpacing, 2) },
      ...measureLesions(labelMap, scan, id),
    };
  });
  const { name, source, model, problems, software } = context;
  return {
    format: 'aaunet-report-3',
    name,
    software,
    researchUseOnly: true,
    syntheticWeights: model.syntheticWeights,
    notice: `Research use only: not a medical device, not for diagnosis.${
      model.syntheticWeights ? ' The network was trained on synthetic data; its results mean nothing for patients.' : ''
    }`,
    model: { name: model.name, sha256: model.sha256 ?? null, assessedTypes: model.labels },
    source,
    geometry: describeGeometry(scan),
    types,
    bloodMl: round(
      types.filter(({ id }) => isBlood(id)).reduce((sum, { volumeMl }) => sum + (volumeMl ?? 0), 0),
      ML_DIGITS,
    ),
    problems,
  };
}

/** What the volume of all blood is called: a reader must not take it for all blood where a type was not assessed. */
export function bloodTitle(reports: readonly SegmentationReport[]): string {
  const isPartial = reports.some(({ types }) => types.some(({ id, assessed }) => isBlood(id) && !assessed));
  return isPartial ? 'blood in the assessed types' : 'blood';
}

/** volumes.csv: one line a type, mL with a decimal point whatever the locale; without numbers where it is not assessed. */
export function formatVolumesCsv(report: SegmentationReport): string {
  const lines = report.types.map(({ name, assessed, volumeMl, voxels, slices, largest }) =>
    [
      report.name,
      name,
      assessed ? 'yes' : 'no',
      volumeMl ?? '',
      voxels ?? '',
      assessed ? slices.length : '',
      largest?.slice ?? '',
      largest?.areaMm2 ?? '',
    ].join(','),
  );
  return `name,type,assessed,volume_ml,voxels,slices,largest_slice,largest_area_mm2\n${lines.join('\n')}\n`;
}

/** Slice numbers as ranges: 3-7, 9. */
export function sliceRanges(slices: readonly number[]): string {
  const ranges: string[] = [];
  for (let start = 0; start < slices.length;) {
    let end = start;
    while (end + 1 < slices.length && slices[end + 1] === slices[end]! + 1) end++;
    ranges.push(start === end ? String(slices[start]) : `${slices[start]}-${slices[end]}`);
    start = end + 1;
  }
  return ranges.join(', ');
}
