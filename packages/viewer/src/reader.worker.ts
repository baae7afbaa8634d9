import {
  ImagingError,
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
  type DicomFolder,
  type DicomSeries,
  type NamedBlob,
  type ResultMaker,
  type Volume,
} from '@aaunet/imaging';
import charls from '@cornerstonejs/codec-charls/decodewasm?url';
import openjpeg from '@cornerstonejs/codec-openjpeg/decodewasm?url';
import openjph from '@cornerstonejs/codec-openjph/wasm?url';

import { readMasks } from './masks.js';
import { seriesOffer, type Opened, type Study } from './study.js';
import { answerCalls, Transferred } from './worker-call.js';

const codecs: Readonly<Record<string, string>> = {
  'charlswasm_decode.wasm': charls,
  'openjpegwasm_decode.wasm': openjpeg,
  'openjphjs.wasm': openjph,
};
setCodecLocation((file) => codecs[file] ?? file);

/** What the scan on view refers to: changed together, once another has been read, so that a mistaken drop changes nothing. */
let open: { readonly source: DicomSeries | undefined; readonly grid: Volume } | undefined;
/** The DICOM files that were opened last, of which a series can be chosen. */
let folder: DicomFolder | undefined;

const notHu = ({ min, max }: { min: number; max: number }): string[] =>
  min > -500 || max < 300
    ? [`Values run from ${min} to ${max}, not as Hounsfield units of a head CT do; the result is doubtful.`]
    : [];

function handOver(
  name: string,
  volume: Volume,
  source: DicomSeries | undefined,
  words: Pick<Study, 'warnings' | 'series'>,
): Transferred {
  const scan = toHuVolume(volume);
  const canonical = toCanonical(scan);
  const warnings = [...words.warnings, ...notHu(valueRange(scan))];
  // The voxels go to the page.
  open = { source, grid: { ...canonical.volume, data: new Uint8Array() } };
  const result: Opened = {
    kind: 'study',
    source: source ? 'dicom' : 'nifti',
    warnings,
    series: words.series,
    name,
    scan: canonical.volume,
    map: canonical.map,
  };
  return new Transferred(result, [canonical.volume.data.buffer]);
}

async function load(from: DicomFolder, seriesUid?: string): Promise<Transferred> {
  const { volume, series, others, skipped } = await loadChosenSeries(from, { seriesUid });
  const warnings = series.problems.map(({ message }) => message);
  if (skipped.length > 0) {
    const were = skipped.length === 1 ? 'file was' : 'files were';
    warnings.push(`${skipped.length} ${were} not used, the first because: ${skipped[0]!.reason}`);
  }
  const chosen = from.series.find((candidate) => !others.includes(candidate));
  return handOver(series.description || 'DICOM series', volume, series, {
    warnings,
    series: seriesOffer(from.series, chosen),
  });
}

/** Saved masks of the scan that is open; undefined where the files are something else. */
async function masksIn(files: readonly NamedBlob[]): Promise<Transferred | undefined> {
  const [file] = files;
  if (open === undefined || file === undefined || files.length > 1) return undefined;
  const kind = kindOfStart(new Uint8Array(await file.blob.slice(0, START_BYTES).arrayBuffer()));
  if (kind === 'zip') return undefined;
  const masks = readMasks(kind, new Uint8Array(await file.blob.arrayBuffer()), open.grid);
  return masks && new Transferred({ kind: 'masks', ...masks } satisfies Opened, [masks.labels.buffer as ArrayBuffer]);
}

/** Whether all that was found is what nobody would take for a scan of a head unasked. */
const noneSuits = (error: unknown, { series }: DicomFolder): boolean =>
  error instanceof ImagingError && error.code === 'no-axial-series' && series.length > 0;

answerCalls({
  async open(files: readonly NamedBlob[]): Promise<Transferred | Opened> {
    const masks = await masksIn(files);
    if (masks !== undefined) return masks;
    const found = await readBlobs(files);
    if (found.kind === 'nifti') {
      const { name, image } = found;
      const warnings = image.header.problems.map(({ message }) => message);
      const handed = handOver(name, image.volume, undefined, { warnings, series: seriesOffer([]) });
      folder = undefined;
      return handed;
    }
    const opened = await load(found.folder).catch((error: unknown): Opened => {
      if (!noneSuits(error, found.folder)) throw error;
      return { kind: 'series', series: seriesOffer(found.folder.series) };
    });
    folder = found.folder;
    return opened;
  },
  choose(selector: string): Promise<Transferred> {
    if (folder === undefined) throw new Error('Expected an open study, found none.');
    return load(folder, selector);
  },
  async segmentation({ labels, maker }: { labels: Volume<Uint8Array>; maker: ResultMaker }) {
    const series = open?.source;
    if (series === undefined) throw new Error('Expected a DICOM series to refer to, found another source: save NIfTI.');
    const source = readResultSource(series, await readScannedFile(series.slices[0]!));
    return writeDicomSegmentation(labels, source, maker).bytes;
  },
});
