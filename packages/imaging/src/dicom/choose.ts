import { norm, subtract } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { SkippedFile } from './read.js';
import { count } from '../count.js';
import type { DicomProblem, DicomSeries } from './series.js';

/** What may come before or after: an operation, say. "Pre" and "post" with it tell nothing of contrast medium. */
const EVENT =
  '(?![- ]*(OP|SURG|TRAUM|EVAC|DRAIN|CRANI|SHUNT|COIL|CLIP|RESECT|TREAT|THERAP|INTERV|PROC|TPA|LYSIS|THROMB|STROKE|FALL|DAY))';
const CONTRAST = new RegExp(
  String.raw`\b(C\+|CE|CTA|CTP|CTV|POST${EVENT}|CONTRAST|ANGIO\w*|PERF\w*|ARTERIAL|VENOUS|DELAY(ED)?|ENHANCED|KM|CM|BOLUS|DYNAMIC|TIMING|MONITORING)\b|C\+|\+C\b`,
  'i',
);
const NO_CONTRAST = new RegExp(
  String.raw`\b(NON|NO|WITHOUT|W/?O|WO|PRE${EVENT}|NC|NCCT|NECT|PLAIN|UNENHANCED|NATIV\w*|OHNE|SANS|SIN|SENZA|NONCON\w*)\b|C-`,
  'i',
);
const HEAD = /HEAD|BRAIN|SKULL|CRANI|CEREB|NEURO|KOPF|SCH(AE|Ä|A)DEL|TETE|TESTA|CABEZA|STROKE|\bNCCT\b|\bICH\b/i;
const NOT_HEAD = /NECK|CHEST|THORA|ABD|PELV|SPINE|LUNG|CARDIAC|HEART|KNEE|FOOT|HAND|SHOULDER|HIP\b|\bLEG|EXTREM/i;
const BONE = /BONE|KNOCHEN|\bOS\b|SHARP|EDGE|LUNG|ULTRA/i;
/** Siemens's (H60s, Hr64, J70h) and Philips's sharp kernels. */
const SHARP_KERNEL = /^(BONE|EDGE|LUNG|[BHJQU]r?[6-9]\d|Y[CDE]$|[DEL]$|FC[38]\d)/i;
/** Fewer slices are a piece of a head, or a timing run. */
const FEW = 5;

/** How well a series serves as the non-contrast head CT that networks here are for; reasons are for people. */
interface Merit {
  readonly isReformat: boolean;
  readonly contrast: string | undefined;
  /** 1 head, 0 not said, -1 another part of the body. */
  readonly head: number;
  readonly isBone: boolean;
  readonly isFew: boolean;
  readonly slices: number;
}

function meritOf(series: DicomSeries): Merit {
  const first = series.slices[0]!;
  const words = `${series.description} ${first.bodyPart ?? ''}`.replaceAll('_', ' ');
  const agent = first.contrastAgent;
  const hasAgent = agent !== undefined && !/^(NO|NONE|N|WITHOUT.*|0)$/i.test(agent);
  const said = CONTRAST.test(words) && !NO_CONTRAST.test(words);
  return {
    isReformat: series.slices.some((slice) => slice.isReformat),
    contrast: hasAgent ? 'its header names a contrast agent' : said ? 'its description says so' : undefined,
    head: HEAD.test(words) ? 1 : NOT_HEAD.test(words) ? -1 : 0,
    isBone: BONE.test(words) || SHARP_KERNEL.test(first.kernel ?? ''),
    isFew: series.slices.length < FEW,
    slices: series.slices.length,
  };
}

/** The criteria in the order of their weight, each higher for better, and what is said of a series that wins or loses by it. */
const CRITERIA: readonly {
  readonly rank: (merit: Merit) => number;
  readonly why: string;
  readonly whyNot: (merit: Merit) => string;
}[] = [
  {
    rank: ({ isReformat }) => (isReformat ? 0 : 1),
    why: 'it is no reformat',
    whyNot: () => 'it is a reformat',
  },
  {
    rank: ({ contrast }) => (contrast === undefined ? 1 : 0),
    why: 'it is without contrast medium',
    whyNot: ({ contrast }) => `it seems to be with contrast medium (${contrast})`,
  },
  {
    rank: ({ head }) => head,
    why: 'it is of the head',
    whyNot: ({ head }) => (head < 0 ? 'it is of another part of the body' : 'it does not say that it is of the head'),
  },
  {
    rank: ({ isFew }) => (isFew ? 0 : 1),
    why: 'it has slices enough',
    whyNot: ({ slices }) => `it has only ${count(slices, 'slice')}`,
  },
  {
    rank: ({ isBone }) => (isBone ? 0 : 1),
    why: 'it is not a bone reconstruction',
    whyNot: () => 'it is a bone reconstruction',
  },
  {
    rank: ({ slices }) => slices,
    why: 'it has most slices',
    whyNot: () => 'it has fewer slices',
  },
];

/** What any series that is taken unasked surpasses. */
const LEAST: Merit = { isReformat: false, contrast: 'any', head: -1, isFew: true, isBone: true, slices: 0 };

/** The series read, the others, and why it is that one. */
export interface SeriesChoice {
  readonly series: DicomSeries;
  readonly others: DicomSeries[];
  readonly problems: readonly DicomProblem[];
}

/**
 * The series asked for, or the one that is most likely the non-contrast axial head CT; throws a sentence with the reasons
 * where there is none. Reformats are taken only where they are asked for.
 */
export function chooseDicomSeries(
  all: readonly DicomSeries[],
  skipped: readonly SkippedFile[],
  { seriesUid }: { readonly seriesUid?: string | undefined } = {},
): SeriesChoice {
  if (all.length === 0) throw noSeries(skipped);
  if (seriesUid !== undefined) {
    const series = all.find((candidate) => selectorOf(candidate, all) === seriesUid);
    if (series === undefined) {
      const known = all.map((candidate) => selectorOf(candidate, all)).join(', ');
      throw new ImagingError('no-axial-series', `Expected the series ${seriesUid}, found only ${known.slice(0, 500)}.`);
    }
    return choiceOf(series, all, 'it was asked for');
  }
  const ranked = all
    .map((series) => ({ series, merit: meritOf(series) }))
    .sort((a, b) => CRITERIA.reduce((order, { rank }) => order || rank(b.merit) - rank(a.merit), 0));
  const [best, second] = ranked;
  if (best!.merit.isReformat) {
    throw new ImagingError(
      'no-axial-series',
      `Expected original axial slices, found only reformats (${nameOf(best!.series)}): export the original series, or ask for this one with --series and its UID, which inspect lists.`,
    );
  }
  const decisive = second && CRITERIA.find(({ rank }) => rank(best!.merit) !== rank(second.merit));
  return choiceOf(best!.series, all, decisive?.why ?? 'nothing tells them apart and its UID comes first');
}

function choiceOf(series: DicomSeries, all: readonly DicomSeries[], why: string): SeriesChoice {
  const others = all.filter((candidate) => candidate !== series);
  const merit = meritOf(series);
  const problems: DicomProblem[] = [];
  if (others.length > 0) {
    const list = others.map(nameOf).join('; ');
    problems.push({
      code: 'other-series',
      message: `This is one of ${all.length} axial CT series and was chosen because ${why}. The others: ${list.slice(0, 1000)}; inspect says how to choose them.`,
    });
  }
  const studies = new Set(all.map(({ studyUid }) => studyUid)).size;
  if (studies > 1) {
    problems.push({
      code: 'other-studies',
      message: `The files belong to ${studies} studies, of one or several patients, and one series of one of them is read: read each study by itself.`,
    });
  }
  if (merit.isReformat) problems.push({ code: 'reformat', message: 'The series is a reformat, not original slices.' });
  if (merit.contrast !== undefined) {
    problems.push({
      code: 'contrast',
      message: `The series seems to be with contrast medium (${merit.contrast}), in which vessels look like blood.`,
    });
  }
  return { series, others, problems };
}

/**
 * What asks for a series among those of a study: its Series Instance UID, of further stacks (of other geometry, or acquired
 * over one another) under the same UID with `#2`, `#3` and so on behind it, in the order of the list.
 */
export function selectorOf(series: DicomSeries, all: readonly DicomSeries[]): string {
  const number = all.filter(({ uid }) => uid === series.uid).indexOf(series) + 1;
  return number > 1 ? `${series.uid}#${number}` : series.uid;
}

/** Why a series was not chosen; `chosen` is undefined where none was. */
export function whyNotChosen(
  series: DicomSeries,
  all: readonly DicomSeries[],
  chosen: DicomSeries | undefined,
): DicomProblem {
  const [own, best] = [meritOf(series), chosen ? meritOf(chosen) : LEAST];
  const decisive = CRITERIA.find(({ rank }) => rank(own) !== rank(best));
  const loses = decisive && decisive.rank(own) < decisive.rank(best);
  const why = loses
    ? decisive.whyNot(own)
    : decisive
      ? 'another was asked for'
      : 'nothing tells it from the chosen one';
  return { code: 'not-chosen', message: `Not chosen: ${why}. Choose it with --series ${selectorOf(series, all)}.` };
}

/** A series by what tells it apart and names no patient, for this is written into results: not its UID and description. */
function nameOf({ slices, positions, stepMm }: DicomSeries): string {
  const { seriesNumber } = slices[0]!;
  const length = norm(subtract(positions.at(-1)!, positions[0]!));
  const name = seriesNumber === undefined ? 'one without a number' : `number ${seriesNumber}`;
  return `${name}, ${count(slices.length, 'slice')} over ${length.toFixed(0)} mm, ${stepMm.median.toFixed(2)} mm apart`;
}

function noSeries(skipped: readonly SkippedFile[]): ImagingError {
  const tally = new Map<string, number>();
  for (const { reason } of skipped) tally.set(reason, (tally.get(reason) ?? 0) + 1);
  const reasons = [...tally].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const found = reasons.map(([reason, times]) => `${times} x "${reason}"`).join(', ') || 'no files';
  return new ImagingError('no-axial-series', `Expected an axial CT series in DICOM, found ${found}.`);
}
