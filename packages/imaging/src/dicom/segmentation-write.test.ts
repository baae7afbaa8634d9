import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { affineFromColumns, sliceExtents, type Vector3 } from '../affine.js';
import { labelByName, LABELS } from '../labels.js';
import { labelVolumesMl } from '../measure.js';
import type { Volume } from '../volume.js';
import { CODE_STREAMS } from './codec/fixtures.js';
import { COMPRESSED, compressedFile, enhancedFile } from './compressed-fixture.js';
import type { DicomAttribute } from './encode.js';
import { ctFile } from './fixture.js';
import { parseDicom } from './parse.js';
import { readDicomSeries } from './read.js';
import { readResultSource, type ResultSource } from './result.js';
import { placeSegmentation, readDicomSegmentation } from './segmentation-read.js';
import { writeDicomSegmentation, writeFractionalSegmentation } from './segmentation-write.js';
import { writeStructuredReport } from './structured-report.js';
import { TAG } from './tags.js';
import { writeDicomSeries } from './write.js';

const MAKER = {
  algorithm: 'rsu-sc',
  software: 'aaunet 0.1.0',
  weights: 'ab'.repeat(32),
  notice: 'Research use only, not for diagnosis.',
  when: new Date('2026-01-02T03:04:05Z'),
};
const [SLICES, ROWS, COLUMNS] = [5, 6, 7];

/** A series, tilted where `lean` is not 0, with these heights of its slices. */
async function sourceOf(
  heights: readonly number[],
  lean = 0,
): Promise<{ source: ResultSource; volume: Volume<Int16Array> }> {
  const positions = heights.map((z): Vector3 => [-20, -30 + lean * z, z]);
  const last = heights.length - 1;
  const step = (heights[last]! - heights[0]!) / last;
  const scan: Volume<Int16Array> = {
    data: new Int16Array(SLICES * ROWS * COLUMNS).map((_, index) => index - 90),
    slices: SLICES,
    rows: ROWS,
    columns: COLUMNS,
    affine: affineFromColumns([-0.5, 0, 0], [0, -0.5, 0], [0, -lean * step, step], [20, 30, heights[0]!]),
    positions,
    extents: sliceExtents(heights),
  };
  const files = writeDicomSeries(scan, { seed: 'segmentation test' });
  const { volume, series } = await readDicomSeries(files.map((bytes, k) => ({ name: `${k}`, bytes })));
  return { source: readResultSource(series, files[0]!), volume };
}

/** The frames of one file, which stores them in no order. */
async function enhancedSource(): ReturnType<typeof sourceOf> {
  const bytes = enhancedFile([10, 0, 5, 15]);
  const { volume, series } = await readDicomSeries([{ name: 'enhanced', bytes }]);
  return { source: readResultSource(series, bytes), volume };
}

/** Labels of sizes that are no multiples of eight, so that frames begin within bytes. */
function labelsOf(volume: Volume): Volume<Uint8Array> {
  return { ...volume, data: Uint8Array.from(volume.data, (_, index) => (index % 3 === 0 ? (index % 11) % 8 : 0)) };
}

const EVEN = [10, 15, 20, 25, 30];
const UNEVEN = [10, 14, 15, 22, 29];

function pixelsOf(bytes: Uint8Array): Uint8Array {
  const { pixelData } = parseDicom(bytes);
  return bytes.subarray(pixelData!.offset, pixelData!.offset + pixelData!.length);
}

describe('writeDicomSegmentation', () => {
  it.each([
    ['even slices', EVEN, 0],
    ['uneven, tilted slices', UNEVEN, Math.tan((18.5 * Math.PI) / 180)],
  ])('keeps every voxel of every type of %s', async (_, heights, lean) => {
    const { source, volume } = await sourceOf(heights, lean);
    const labels = labelsOf(volume);
    const { bytes } = writeDicomSegmentation(labels, source, MAKER);
    const { dataset } = parseDicom(bytes);
    const plane = ROWS * COLUMNS;
    const frames = LABELS.flatMap(({ id }) =>
      Array.from({ length: SLICES }, (_unused, slice) => labels.data.subarray(slice * plane, (slice + 1) * plane))
        .filter((part) => part.includes(id))
        .map((part) => [...part].map((label) => (label === id ? 1 : 0))),
    );
    expect(dataset.decimal(TAG.numberOfFrames)).toBe(frames.length);
    const pixels = pixelsOf(bytes);
    const bits = frames.flat().map((_bit, index) => (pixels[index >> 3]! >> (index & 7)) & 1);
    expect(bits).toEqual(frames.flat());
  });

  it('is the same object for the same result, and another for another', async () => {
    const { source, volume } = await sourceOf(EVEN);
    const labels = labelsOf(volume);
    const first = writeDicomSegmentation(labels, source, MAKER);
    expect(writeDicomSegmentation(labels, source, MAKER)).toEqual(first);
    const other = labels.data.slice();
    other[1] = 1;
    expect(writeDicomSegmentation({ ...labels, data: other }, source, MAKER).sopInstanceUid).not.toBe(
      first.sopInstanceUid,
    );
  });

  it('is another object where source, time or words differ, though both found nothing', async () => {
    const { source, volume } = await sourceOf(EVEN);
    const none = { ...labelsOf(volume), data: new Uint8Array(SLICES * ROWS * COLUMNS) };
    const reportOf = (...[from, maker]: [ResultSource, typeof MAKER]): string[] => {
      const segmentation = writeDicomSegmentation(none, from, maker);
      const report = writeStructuredReport([{ name: 'ICH', volumeMl: 0 }], from, segmentation, maker);
      return [segmentation.sopInstanceUid, segmentation.seriesUid, report.sopInstanceUid, report.seriesUid];
    };
    // Two stacks may lie under one Series Instance UID.
    const stack = source.series.slices.map((slice) => ({ ...slice, sopInstanceUid: `${slice.sopInstanceUid}1` }));
    const uids = [
      ...reportOf(source, MAKER),
      ...reportOf({ ...source, series: { ...source.series, slices: stack } }, MAKER),
      ...reportOf(source, { ...MAKER, when: new Date('2026-01-02T03:04:06Z') }),
      ...reportOf(source, { ...MAKER, notice: 'Seen by nobody.' }),
    ];
    expect(new Set(uids).size).toBe(16);
  });

  it.each([
    [undefined, 'AUTOMATIC', 'rsu-sc'],
    ['SEMIAUTOMATIC', 'SEMIAUTOMATIC', 'rsu-sc'],
    // The standard has a name of the algorithm where there is one alone.
    ['MANUAL', 'MANUAL', undefined],
  ] as const)('says how its segments came about: %s', async (method, type, name) => {
    const { source, volume } = await sourceOf(EVEN);
    const maker = method ? { ...MAKER, method } : MAKER;
    const { dataset } = parseDicom(writeDicomSegmentation(labelsOf(volume), source, maker).bytes);
    const segments = dataset.items(TAG.segmentSequence);
    expect(segments).toHaveLength(7);
    for (const segment of segments) {
      expect([segment.text(TAG.segmentAlgorithmType), segment.text(TAG.segmentAlgorithmName)]).toEqual([type, name]);
    }
  });

  it('has one empty frame where nothing was found, and refuses what does not fit', async () => {
    const { source, volume } = await sourceOf(EVEN);
    const none = { ...labelsOf(volume), data: new Uint8Array(SLICES * ROWS * COLUMNS) };
    const { bytes } = writeDicomSegmentation(none, source, MAKER);
    expect(parseDicom(bytes).dataset.decimal(TAG.numberOfFrames)).toBe(1);
    expect([...pixelsOf(bytes)].every((byte) => byte === 0)).toBe(true);
    expect(() => writeDicomSegmentation({ ...none, slices: 4 }, source, MAKER)).toThrow('like the series');
    expect(() => writeDicomSegmentation({ ...none, data: none.data.map(() => 8) }, source, MAKER)).toThrow('found 8');
  });

  it('keeps probabilities as they are in the fractional kind', async () => {
    const { source, volume } = await sourceOf(EVEN);
    const probabilities = LABELS.map(({ id }) => ({
      ...volume,
      data: Uint8Array.from(volume.data, (_, index) => (id === 2 && index >= ROWS * COLUMNS * 3 ? index % 251 : 0)),
    }));
    const { bytes } = writeFractionalSegmentation(probabilities, source, MAKER);
    expect(parseDicom(bytes).dataset.decimal(TAG.numberOfFrames)).toBe(2);
    expect([...pixelsOf(bytes)]).toEqual([...probabilities[1]!.data.subarray(ROWS * COLUMNS * 3)]);
    expect(() => writeFractionalSegmentation(probabilities.slice(1), source, MAKER)).toThrow('found 6');
  });
});

describe('a result of an enhanced multi-frame source', () => {
  it('names the frame that each of its own frames was made from', async () => {
    const { source, volume } = await enhancedSource();
    const labels = { ...volume, data: new Uint8Array(volume.data.length) };
    const plane = volume.rows * volume.columns;
    labels.data.fill(2, plane, 2 * plane);
    labels.data.fill(7, 3 * plane);
    const { dataset } = parseDicom(writeDicomSegmentation(labels, source, MAKER).bytes);
    const references = dataset.items(TAG.perFrameFunctionalGroups).map((groups) => {
      const image = groups.items(TAG.derivationImages)[0]!.items(TAG.sourceImages)[0]!;
      return [image.text(TAG.referencedSopInstanceUid), image.decimal(TAG.referencedFrameNumber)];
    });
    // Frames of the file lie at 10, 0, 5 and 15 mm: the second slice is its third frame, the last its fourth.
    expect(references).toEqual([
      [source.series.slices[0]!.sopInstanceUid, 3],
      [source.series.slices[0]!.sopInstanceUid, 4],
    ]);
    expect(dataset.items(TAG.referencedSeries)[0]!.items(TAG.referencedInstances)).toHaveLength(1);
  });

  it('of single-frame slices names no frame', async () => {
    // Sloppy anonymisers give all slices one UID.
    const change = [{ tag: TAG.sopInstanceUid, vr: 'UI', value: '1.2' }] as const;
    const { source, volume } = await sourceOfFiles([0, 5].map((z) => ctFile(z, { change })));
    const { dataset } = parseDicom(writeDicomSegmentation(labelsOf(volume), source, MAKER).bytes);
    const [image] = dataset
      .items(TAG.perFrameFunctionalGroups)[0]!
      .items(TAG.derivationImages)[0]!
      .items(TAG.sourceImages);
    expect(image!.text(TAG.referencedFrameNumber)).toBeUndefined();
  });
});

describe('a report', () => {
  it('speaks of the segments by the unique identifiers that the segmentation gives them', async () => {
    const { source, volume } = await sourceOf(EVEN);
    const segmentation = writeDicomSegmentation(labelsOf(volume), source, MAKER);
    const tracked = parseDicom(segmentation.bytes)
      .dataset.items(TAG.segmentSequence)
      .map((segment) => segment.text(TAG.trackingUid));
    const report = writeStructuredReport([{ name: 'EDH', volumeMl: 1 }], source, segmentation, MAKER);
    const [measurements] = parseDicom(report.bytes).dataset.items(TAG.contentItems).slice(-1);
    const items = measurements!.items(TAG.contentItems)[0]!.items(TAG.contentItems);
    expect(items.map((item) => item.text(TAG.uidValue))).toContain(tracked[3]);
    expect(new Set(tracked).size).toBe(7);
  });

  it('says of what place a group speaks as a modifier of it, as TID 1419 wants', async () => {
    const { source, volume } = await sourceOf(EVEN);
    const segmentation = writeDicomSegmentation(labelsOf(volume), source, MAKER);
    const report = writeStructuredReport([{ name: 'IVH', volumeMl: 1 }], source, segmentation, MAKER);
    const [measurements] = parseDicom(report.bytes).dataset.items(TAG.contentItems).slice(-1);
    const site = measurements!
      .items(TAG.contentItems)[0]!
      .items(TAG.contentItems)
      .find((item) => item.items(TAG.conceptName)[0]?.text(TAG.codeMeaning) === 'Finding Site');
    expect(site?.text(TAG.relationshipType)).toBe('HAS CONCEPT MOD');
    expect(site?.items(TAG.conceptCode)[0]?.text(TAG.codeValue)).toBe('35764002');
  });
});

/** A series of these files, its first slice 0 mm high. */
async function sourceOfFiles(files: readonly Uint8Array[]): ReturnType<typeof sourceOf> {
  const { volume, series } = await readDicomSeries(files.map((bytes, k) => ({ name: `${k}`, bytes })));
  return { source: readResultSource(series, files[0]!), volume };
}

const JPEG_LOSSLESS = [COMPRESSED['JPEG lossless']!.syntax, [CODE_STREAMS.lossless6]] as const;
const NEAR_LOSSLESS = [COMPRESSED['JPEG-LS near-lossless']!.syntax, [CODE_STREAMS.jpegls3]] as const;
const flagged: DicomAttribute = { tag: TAG.lossyCompression, vr: 'CS', value: '01' };
const figures: DicomAttribute[] = [
  { tag: TAG.lossyRatio, vr: 'DS', value: [4, 12] },
  { tag: TAG.lossyMethod, vr: 'CS', value: ['ISO_10918_1', 'ISO_15444_1'] },
];

/** Sources by their losses, with ratios and methods that a result has to state. */
const LOSSES: readonly (readonly [name: string, files: Uint8Array[], ratio: RegExp, methods: string[]])[] = [
  ['no loss', [0, 5].map((z) => ctFile(z)), /^$/, []],
  [
    'a lossy transfer syntax without the flag, in the second slice alone',
    [compressedFile(0, ...JPEG_LOSSLESS), compressedFile(5, ...NEAR_LOSSLESS)],
    /^\d\.\d+$/,
    ['ISO_14495_1'],
  ],
  ['the flag alone', [0, 5].map((z) => ctFile(z, { change: [flagged] })), /^1$/, ['UNKNOWN']],
  [
    'the flag with all figures',
    [0, 5].map((z) => ctFile(z, { change: [flagged, ...figures] })),
    /^4,12$/,
    ['ISO_10918_1', 'ISO_15444_1'],
  ],
];

describe('the time of a result', () => {
  const zone = process.env['TZ'];
  afterAll(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });

  it.each([
    ['the local one, as readers take it', undefined, '083405', '20260102'],
    ["in its source's zone where that is named", '-0330', '233405', '20260101'],
  ])('is %s', async (_, offset, time, date) => {
    process.env['TZ'] = 'Asia/Kolkata';
    const change: DicomAttribute[] = offset === undefined ? [] : [{ tag: TAG.timezoneOffset, vr: 'SH', value: offset }];
    const { source, volume } = await sourceOfFiles([0, 5].map((z) => ctFile(z, { change })));
    const { dataset } = parseDicom(writeDicomSegmentation(labelsOf(volume), source, MAKER).bytes);
    expect([TAG.contentTime, TAG.contentDate, TAG.timezoneOffset].map((tag) => dataset.text(tag))).toEqual([
      time,
      date,
      offset,
    ]);
  });
});

describe('a source of results', () => {
  it.each([
    ['Study', TAG.studyInstanceUid],
    ['Series', TAG.seriesInstanceUid],
    ['SOP', TAG.sopInstanceUid],
  ])('without a %s Instance UID is refused, for nothing could refer to it', async (name, tag) => {
    await expect(sourceOfFiles([0, 5].map((z) => ctFile(z, { change: [tag] })))).rejects.toThrow(
      `found no ${name} Instance UID`,
    );
  });
});

describe('a result of a source with', () => {
  it.each(LOSSES)('%s says so, with ratio and method', async (_, files, ratio, methods) => {
    const { source, volume } = await sourceOfFiles(files);
    const labels = { ...volume, data: new Uint8Array(volume.data.length) };
    const { dataset } = parseDicom(writeDicomSegmentation(labels, source, MAKER).bytes);
    expect(dataset.text(TAG.lossyCompression)).toBe(methods.length > 0 ? '01' : '00');
    expect(dataset.texts(TAG.lossyRatio).join()).toMatch(ratio);
    expect(dataset.texts(TAG.lossyMethod)).toEqual(methods);
  });
});

function hasTool(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
}

const missing = ['dciodvfy', 'dcmdump', 'dcm2json', 'dsrdump', 'dsr2html'].filter((name) => !hasTool(name));
if (missing.length > 0) {
  console.warn(
    `SKIPPED: DICOM objects were not validated, for ${missing.join(', ')} is missing: install dicom3tools, dcmtk.`,
  );
}

describe.skipIf(missing.length > 0)('segmentations and reports before independent validators', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'aaunet-dicom-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** What dciodvfy and dcmtk call wrong with an object. */
  function errorsOf(name: string, bytes: Uint8Array): string[] {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    const tools = [['dciodvfy'], ['dcmdump', '-q'], ['dcm2json'], ...(name.includes('report') ? [['dsrdump']] : [])];
    return tools.flatMap(([tool, ...flags]) => {
      const { stdout, stderr, status } = spawnSync(tool!, [...flags, path], { encoding: 'utf8' });
      const lines = tool === 'dciodvfy' ? `${stdout}${stderr}` : stderr;
      const errors = lines.split('\n').filter((line) => /^(Error|E:|F:|W:)/.test(line));
      // dciodvfy ends with 1 wherever it has something to say.
      return tool !== 'dciodvfy' && status !== 0 ? [`${tool} ended with ${status}`, ...errors] : errors;
    });
  }

  it.each<[string, () => ReturnType<typeof sourceOf>]>([
    ['even', () => sourceOf(EVEN)],
    ['tilted', () => sourceOf(EVEN, Math.tan((18.5 * Math.PI) / 180))],
    ['uneven', () => sourceOf(UNEVEN)],
    ['uneven and tilted', () => sourceOf(UNEVEN, 0.3)],
    ['multi-frame', () => enhancedSource()],
    ['lossy', () => sourceOfFiles(LOSSES[1]![1])],
  ])('have no errors for %s slices and give our reader every voxel back', async (kind, sourceOfKind) => {
    const name = kind.replaceAll(' ', '-');
    const { source, volume } = await sourceOfKind();
    const labels = labelsOf(volume);
    const empty = { ...labels, data: new Uint8Array(labels.data.length) };
    const segmentation = writeDicomSegmentation(labels, source, MAKER);
    // Certain where the label is: the reader counts a half and more as inside.
    const fractions = (of: Volume<Uint8Array>): Volume<Uint8Array>[] =>
      LABELS.map(({ id }) => ({ ...of, data: of.data.map((label) => (label === id ? 255 : 100)) }));
    for (const [file, bytes, wanted] of [
      [`${name}.dcm`, segmentation.bytes, labels],
      [`${name}-empty.dcm`, writeDicomSegmentation(empty, source, MAKER).bytes, empty],
      [`${name}-fractional.dcm`, writeFractionalSegmentation(fractions(labels), source, MAKER).bytes, labels],
      [`${name}-unlikely.dcm`, writeFractionalSegmentation(fractions(empty), source, MAKER).bytes, empty],
      [
        `${name}-impossible.dcm`,
        writeFractionalSegmentation(
          LABELS.map(() => empty),
          source,
          MAKER,
        ).bytes,
        empty,
      ],
    ] as const) {
      expect(errorsOf(file, bytes)).toEqual([]);
      const segments = readDicomSegmentation(bytes);
      expect(segments.segments.map(({ label }) => label)).toEqual(LABELS.map(({ name: type }) => type));
      const placed = placeSegmentation(segments, volume, ({ label }) => labelByName(label).id, 9);
      expect([placed.labels.data, placed.overlaps]).toEqual([wanted.data, 0]);
    }

    const volumesMl = labelVolumesMl(labels);
    const volumes = LABELS.map(({ id, name: type }) => ({ name: type, volumeMl: volumesMl[id]! }));
    const report = writeStructuredReport(volumes, source, segmentation, MAKER);
    expect(errorsOf(`${name}-report.dcm`, report.bytes)).toEqual([]);
    expect(errorsOf(`${name}-report-none.dcm`, writeStructuredReport([], source, segmentation, MAKER).bytes)).toEqual(
      [],
    );
    const html = execFileSync('dsr2html', [join(folder, `${name}-report.dcm`)], { encoding: 'utf8' });
    expect(html).toContain('Imaging Measurement Report');
    expect(html).toContain('Intracranial subdural space');
    expect(html).toContain('Research use only');
    expect(html.match(/Measurement Group/g)).toHaveLength(7);
    const reported = [...html.matchAll(/([\d.]+) mL/g)].map(([, ml]) => Number(ml));
    reported.forEach((value, index) => {
      expect(value).toBeCloseTo(volumes[index]!.volumeMl, 9);
    });
    expect(reported).toHaveLength(7);
  });
});
