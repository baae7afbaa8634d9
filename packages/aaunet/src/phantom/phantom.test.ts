import { LABELS } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { TISSUES } from './coarse-slice.js';
import { contactSheet } from './contact-sheet.js';
import { gasRange } from './gas.js';
import type { LesionPlan, LesionType } from './lesions/lesion.js';
import type { Phantom } from './phantom.js';
import { generatePhantom } from './phantom.js';

const person = { age: 55, atrophy: 0.5 };

function lesion(type: LesionType, place: string, z: number, extent: number, side: -1 | 0 | 1 = 1): LesionPlan {
  return { type, place, z, extent, side, faint: false, seed: 77 };
}

function make(lesions: LesionPlan[], seed = 5): Phantom {
  return generatePhantom({ seed, size: 96, slices: 30, person, lesions, tissues: true, draft: true });
}

/** Indices of the voxels with a label. */
function voxels(phantom: Phantom, name: LesionType): number[] {
  const id = LABELS.find((label) => label.name === name)!.id;
  const found: number[] = [];
  phantom.labels.data.forEach((value, n) => {
    if (value === id) found.push(n);
  });
  return found;
}

function share(phantom: Phantom, found: readonly number[], ...tissues: number[]): number {
  return found.filter((n) => tissues.includes(phantom.tissues!.data[n]!)).length / found.length;
}

/** Voxel indices slice by slice, for slices of `plane` pixels that have any. */
function bySlice(found: readonly number[], plane: number): number[][] {
  const slices = new Map<number, number[]>();
  for (const n of found) {
    const k = Math.floor(n / plane);
    slices.set(k, [...(slices.get(k) ?? []), n]);
  }
  return [...slices.values()];
}

/** Whether bone lies within `reach` pixels in the slice. */
function nearBone(phantom: Phantom, n: number, reach: number): boolean {
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      if (phantom.tissues!.data[n + dy * phantom.image.columns + dx] === TISSUES.bone) return true;
    }
  }
  return false;
}

function meanHu(phantom: Phantom, found: readonly number[]): number {
  return found.reduce((sum, n) => sum + phantom.image.data[n]!, 0) / found.length;
}

const { csf, brain, ventricle } = TISSUES;

describe('generatePhantom', () => {
  it('gives the same head for the same seed and another one for another seed', () => {
    const plan = [lesion('ICH', 'putamen', 6, 30)];
    const one = make(plan);
    const again = make(plan);
    const other = make(plan, 6);
    expect(again.image.data).toEqual(one.image.data);
    expect(again.labels.data).toEqual(one.labels.data);
    const differing = one.image.data.filter((hu, n) => Math.abs(hu - other.image.data[n]!) > 40).length;
    expect(differing).toBeGreaterThan(0.05 * one.image.data.length);
  });

  it('has the densities of a head on a scanner', () => {
    const head = make([]);
    const values = (tissue: number): number[] => {
      const found: number[] = [];
      head.tissues!.data.forEach((t, n) => {
        if (t === tissue) found.push(head.image.data[n]!);
      });
      return found.sort((a, b) => a - b);
    };
    const median = (sorted: number[]): number => sorted[Math.floor(sorted.length / 2)]!;
    expect(median(values(TISSUES.outside))).toBeLessThan(-950);
    expect(median(values(TISSUES.bone))).toBeGreaterThan(500);
    expect(median(values(TISSUES.brain))).toBeGreaterThan(24);
    expect(median(values(TISSUES.brain))).toBeLessThan(42);
    expect(median(values(TISSUES.ventricle))).toBeLessThan(22);
    expect(head.labels.data.every((label) => label === 0)).toBe(true);
  });

  it('lies in the standard display: columns to the patient left, rows to posterior, slices to superior', () => {
    const { affine, slices } = make([]).image;
    expect(affine[0][0]).toBeLessThan(0);
    expect(affine[1][1]).toBeLessThan(0);
    expect(affine[2][2]).toBe(5);
    expect(slices).toBe(30);
  });

  it.each([
    ['EDH', 'temporal', 10, 56],
    ['SDH', 'convexity', 24, 90],
    ['CSDH', 'plain', 30, 90],
  ] as const)('lays %s on the inner table of the skull, on its side', (type, place, z, extent) => {
    const phantom = make([lesion(type, place, z, extent)]);
    const found = voxels(phantom, type);
    expect(found.length).toBeGreaterThan(150);
    // However thick it is, in every slice some of it touches the bone (with the dura between).
    for (const inSlice of bySlice(found, 96 * 96)) expect(inSlice.some((n) => nearBone(phantom, n, 2))).toBe(true);
    const left = found.filter((n) => n % 96 >= 46).length / found.length;
    expect(left).toBeGreaterThan(0.95);
    expect(share(phantom, found, csf, brain, ventricle)).toBeGreaterThan(0.85);
    if (type === 'CSDH') expect(meanHu(phantom, found)).toBeLessThan(45);
    else expect(meanHu(phantom, found)).toBeGreaterThan(48);
  });

  it('makes an EDH short and thick and an SDH long and thin', () => {
    const slenderness = (type: LesionType, place: string, z: number, extent: number): number => {
      const phantom = make([lesion(type, place, z, extent)]);
      const slices = bySlice(voxels(phantom, type), 96 * 96);
      const largest = slices.sort((a, b) => b.length - a.length)[0]!;
      const rows = largest.map((n) => Math.floor(n / 96));
      const length = Math.max(...rows) - Math.min(...rows) + 1;
      return (length * length) / largest.length;
    };
    expect(slenderness('SDH', 'convexity', 24, 90)).toBeGreaterThan(1.6 * slenderness('EDH', 'temporal', 10, 56));
  });

  it('keeps IVH in the ventricles, ICH in the brain and SAH in or beside the fluid', () => {
    const ivh = make([lesion('IVH', 'cast', 13, 44, 0)]);
    expect(share(ivh, voxels(ivh, 'IVH'), ventricle)).toBeGreaterThan(0.8);
    const ich = make([lesion('ICH', 'putamen', 6, 40)]);
    expect(share(ich, voxels(ich, 'ICH'), brain)).toBeGreaterThan(0.85);
    const sah = make([lesion('SAH', 'cisterns', 0, 44)]);
    const found = voxels(sah, 'SAH');
    expect(found.length).toBeGreaterThan(100);
    const beside = found.filter((n) => [n, n - 1, n + 1, n - 96, n + 96].some((m) => sah.tissues!.data[m] === csf));
    expect(beside.length / found.length).toBeGreaterThan(0.85);
    for (const [phantom, type] of [
      [ivh, 'IVH'],
      [ich, 'ICH'],
      [sah, 'SAH'],
    ] as const) {
      expect(meanHu(phantom, voxels(phantom, type))).toBeGreaterThan(44);
    }
  });

  it('puts 15 to 86 dark pixels of gas inside the skull of a 512 x 512 slice', () => {
    const options = { size: 512, slices: 30, person, draft: true, tissues: true };
    const phantom = generatePhantom({ ...options, seed: 9, lesions: [lesion('Pneumocranium', 'frontal', 24, 25)] });
    const found = voxels(phantom, 'Pneumocranium');
    const slices = bySlice(found, 512 * 512);
    expect(slices.length).toBeGreaterThanOrEqual(3);
    for (const inSlice of slices) {
      expect(inSlice.length).toBeGreaterThanOrEqual(15);
      expect(inSlice.length).toBeLessThanOrEqual(86);
    }
    expect(share(phantom, found, csf, brain)).toBeGreaterThan(0.95);
    expect(meanHu(phantom, found)).toBeLessThan(-150);
  });

  it('scales the gas with the pixel area and never asks for less than a pixel', () => {
    expect(gasRange(512)).toEqual({ low: 15, high: 86 });
    expect(gasRange(64).low).toBe(1);
    expect(gasRange(64).high).toBeGreaterThanOrEqual(2);
  });

  it('refuses a size it cannot draw', () => {
    expect(() => generatePhantom({ seed: 1, size: 7 })).toThrow(/from 32 to 1024/);
  });
});

describe('contactSheet', () => {
  it('draws each slice plain and coloured as a PNG', () => {
    const { image, labels } = make([lesion('ICH', 'putamen', 6, 30)]);
    const png = contactSheet([{ image, labels, slice: 15 }], { tile: 32 });
    expect([...png.slice(1, 4)]).toEqual([0x50, 0x4e, 0x47]);
  });
});
