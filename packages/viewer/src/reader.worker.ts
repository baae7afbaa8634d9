import {
  kindOfStart,
  loadChosenSeries,
  readBlobs,
  readScannedFile,
  readResultSource,
  setCodecLocation,
  START_BYTES,
  toCanonical,
  toHuVolume,
  valueRange,
  writeDicomSegmentation,
  type BlobStudy,
  type DicomSeries,
  type NamedBlob,
  type ResultMaker,
  type Volume,
} from '@aaunet/imaging';
import charls from '@cornerstonejs/codec-charls/decodewasm?url';
import openjpeg from '@cornerstonejs/codec-openjpeg/decodewasm?url';
import openjph from '@cornerstonejs/codec-openjph/wasm?url';

import { readMasks } from './masks.js';
import { seriesOption, type Opened, type Study } from './study.js';
import { answerCalls, Transferred } from './worker-call.js';

const codecs: Readonly<Record<string, string>> = {
  'charlswasm_decode.wasm': charls,
  'openjpegwasm_decode.wasm': openjpeg,
  'openjphjs.wasm': openjph,
};
setCodecLocation((file) => codecs[file] ?? file);

let study: BlobStudy | undefined;
let chosen: DicomSeries | undefined;
/** Geometry of the scan that is open, canonical. */
let grid: Volume | undefined;

const notHu = ({ min, max }: { min: number; max: number }): string[] =>
  min > -500 || max < 300
    ? [`Values run from ${min} to ${max}, not as Hounsfield units of a head CT do; the result is doubtful.`]
    : [];

function handOver(name: string, volume: Volume, words: Omit<Study, 'name' | 'scan' | 'map'>): Transferred {
  const scan = toHuVolume(volume);
  const canonical = toCanonical(scan);
  const warnings = [...words.warnings, ...notHu(valueRange(scan))];
  // The voxels go to the page.
  grid = { ...canonical.volume, data: new Uint8Array() };
  const result: Opened = { kind: 'study', ...words, warnings, name, scan: canonical.volume, map: canonical.map };
  return new Transferred(result, [canonical.volume.data.buffer]);
}

async function load(seriesUid: string | undefined): Promise<Transferred> {
  if (study === undefined) throw new Error('Expected an open study, found none.');
  if (study.kind === 'nifti') {
    const { name, image } = study;
    study = undefined;
    const warnings = image.header.problems.map(({ message }) => message);
    return handOver(name, image.volume, { source: 'nifti', warnings, series: [], seriesUid: undefined });
  }
  const { volume, series, others, skipped } = await loadChosenSeries(study.folder, { seriesUid });
  chosen = series;
  const warnings = series.problems.map(({ message }) => message);
  if (skipped.length > 0)
    warnings.push(`${skipped.length} files were not used, the first because: ${skipped[0]!.reason}`);
  const options = [series, ...others].map(seriesOption);
  return handOver(series.description || 'DICOM series', volume, {
    source: 'dicom',
    warnings,
    series: options,
    seriesUid: series.uid,
  });
}

/** Saved masks of the scan that is open; undefined where the files are something else. */
async function masksIn(files: readonly NamedBlob[]): Promise<Transferred | undefined> {
  const [file] = files;
  if (grid === undefined || file === undefined || files.length > 1) return undefined;
  const kind = kindOfStart(new Uint8Array(await file.blob.slice(0, START_BYTES).arrayBuffer()));
  if (kind === 'zip') return undefined;
  const masks = readMasks(kind, new Uint8Array(await file.blob.arrayBuffer()), grid);
  return masks && new Transferred({ kind: 'masks', ...masks } satisfies Opened, [masks.labels.buffer as ArrayBuffer]);
}

answerCalls({
  async open(files: readonly NamedBlob[]) {
    const masks = await masksIn(files);
    if (masks !== undefined) return masks;
    study = await readBlobs(files);
    chosen = undefined;
    return load(undefined);
  },
  choose: (seriesUid: string) => load(seriesUid),
  async segmentation({ labels, maker }: { labels: Volume<Uint8Array>; maker: ResultMaker }) {
    if (chosen === undefined) throw new Error('Expected a DICOM series to refer to, found another source: save NIfTI.');
    const source = readResultSource(chosen, await readScannedFile(chosen.slices[0]!));
    return writeDicomSegmentation(labels, source, maker).bytes;
  },
});
