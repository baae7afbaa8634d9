import { LABELS } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { readModelInfo } from './model-file.js';
import { bloodMl, newSession, warningsOf } from './session.js';
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
});
