import { formatMl, LABELS, toCanonical, type Volume } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { readModelInfo } from './model-file.js';
import { LabelEditor } from './label-editor.js';
import { makerOf, type Origin } from './origin.js';
import { bloodMl, findingsOf, newSession, noticeOf, warningsOf, type Session } from './session.js';
import { isTrueToScale, type Study } from './study.js';
import { densityModel } from './testing-model.js';

describe('the blood of a scan', () => {
  it('is the sum of all types but air', () => {
    const findings = LABELS.map(({ id, name }) => ({ id, name, ml: id, slice: 0, isAssessed: true }));
    expect(bloodMl(findings)).toBe(1 + 2 + 3 + 4 + 5 + 7);
  });
});

describe('what a reader is warned of', () => {
  const warningsWith = (about: object): string[] => {
    const info = readModelInfo(densityModel(about));
    return warningsOf({ ...newSession(), model: { info, backend: 'wasm', notes: [] } });
  };

  it('names what the network was trained on, where that is not scans of patients in HU', () => {
    expect(warningsWith({ synthetic: false })).toEqual([]);
    expect(warningsWith({ synthetic: true }).join()).toContain('synthetic data');
    expect(warningsWith({ synthetic: false, approximateHu: true }).join()).toContain('approximate HU');
  });

  it('warns of a network only where masks are or would be its own', () => {
    const info = readModelInfo(densityModel({ synthetic: true }));
    const session = { ...newSession(), model: { info, backend: 'wasm', notes: [] }, editor: new LabelEditor(SCAN) };
    session.editor.begin({ kind: 'file', name: 'a', warnings: ['odd'], isEdited: false });
    session.editor.end();
    expect([warningsOf(session), noticeOf(session).includes('synthetic')]).toEqual([['odd'], false]);
    session.editor.begin({ kind: 'network', model: info, slices: new Set([0]), isEdited: false });
    session.editor.end();
    expect(warningsOf(session)).toHaveLength(1);
    expect(noticeOf(session)).toMatch(/synthetic data\.$/);
    session.editor.begin({ kind: 'network', model: info, slices: new Set(), isEdited: false });
    session.editor.end();
    expect(noticeOf({ ...session, study: STUDY })).toContain('Only 0 of 1 slices were looked at');
  });
});

const SCAN: Volume<Int16Array> = {
  data: new Int16Array(16),
  columns: 4,
  rows: 4,
  slices: 1,
  affine: [
    [-1, 0, 0, 0],
    [0, -1, 0, 0],
    [0, 0, 5, 0],
    [0, 0, 0, 1],
  ],
};

const STUDY: Study = {
  name: 'a',
  source: 'nifti',
  scan: SCAN,
  map: toCanonical(SCAN).map,
  warnings: [],
  series: { options: [], chosen: undefined },
};

describe('what is said of masks', () => {
  const model = readModelInfo(densityModel({ annotated: ['SDH'] }));
  const network: Origin = { kind: 'network', model, slices: new Set([0]), isEdited: false };
  const sessionOf = (origin?: Origin): Session & { editor: LabelEditor } => {
    const editor = new LabelEditor(SCAN);
    if (origin) {
      editor.begin(origin);
      editor.end();
    }
    return { ...newSession(), editor };
  };
  const assessed = (session: Session): string[] =>
    findingsOf(session)
      .filter((finding) => finding.isAssessed)
      .map(({ name }) => name);

  it('says "none" of what someone has looked for alone', () => {
    expect(assessed(sessionOf())).toEqual([]);
    expect(assessed(sessionOf({ ...network, slices: new Set() }))).toEqual([]);
    expect(assessed(sessionOf(network))).toEqual(['SDH']);
    const undone = sessionOf(network);
    undone.editor.undo();
    expect(assessed(undone)).toEqual([]);
    expect(assessed(sessionOf({ kind: 'file', name: 'a', warnings: [], isEdited: false }))).toHaveLength(7);
  });

  it('names in DICOM what made them', () => {
    expect(makerOf(network)).toEqual({ algorithm: 'pointwise', weights: 'ab'.repeat(32), method: 'AUTOMATIC' });
    expect(makerOf({ ...network, isEdited: true }).method).toBe('SEMIAUTOMATIC');
    expect(makerOf({ kind: 'hand', isEdited: true })).toMatchObject({ algorithm: 'by hand', method: 'MANUAL' });
    expect(makerOf({ kind: 'file', name: 'Doe.nii', warnings: [], isEdited: true }).algorithm).toBe('masks of a file');
  });

  it('lets no lesion become 0 mL', () => {
    expect([0, 0.000127, 0.004, 0.06, 12.34].map(formatMl)).toEqual(['0.0', '0.0001', '0.004', '0.1', '12.3']);
  });

  it('knows where planes across the slices are false: tilt, uneven slices', () => {
    const tilted: Volume['affine'] = [SCAN.affine[0], [0, -1, 1, 0], SCAN.affine[2], SCAN.affine[3]];
    const uneven = { ...SCAN, positions: [[0, 0, 0]] as const };
    expect([SCAN, { ...SCAN, affine: tilted }, uneven].map(isTrueToScale)).toEqual([true, false, false]);
  });
});
