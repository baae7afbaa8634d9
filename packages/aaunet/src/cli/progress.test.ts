import { describe, expect, it } from 'vitest';
import { Progress, formatDuration } from './progress.js';

function setup(isTTY: boolean, total = 100, columns = 200) {
  const written: string[] = [];
  const clock = { time: 0 };
  const stream = { write: (text: string) => written.push(text), isTTY, columns };
  const progress = new Progress({ label: 'train', total, unit: 'steps', stream, now: () => clock.time });
  return { progress, written, clock };
}

describe('Progress', () => {
  it('shows share, rate and ETA of the steps of late', () => {
    const { progress, written, clock } = setup(true);
    clock.time = 5_000;
    progress.update(10, 'loss 0.5');
    expect(written.at(-1)).toContain('10 %  10/100 steps');
    clock.time = 10_000;
    progress.update(20, 'loss 0.4');
    expect(written.at(-1)).toMatch(/2\.0 steps\/s {2}ETA 0:40 {2}loss 0\.4$/);
  });

  it('writes plain lines rarely where there is no terminal, and the last one always', () => {
    const { progress, written, clock } = setup(false);
    for (let step = 1; step <= 100; step++) {
      clock.time = step * 300;
      progress.update(step);
    }
    expect(written.length).toBeGreaterThan(2);
    expect(written.length).toBeLessThan(7);
    expect(written.at(-1)).toContain('100 %');
    for (const mark of ['\r', '\u001b', '█']) expect(written.join('')).not.toContain(mark);
    progress.finish('best 0.6');
    expect(written.at(-1)).toBe('train: 100 steps in 0:30, best 0.6\n');
  });

  it('does not take steps done before a resume for speed', () => {
    const { progress, written, clock } = setup(true);
    clock.time = 100;
    progress.update(50);
    clock.time = 10_100;
    progress.update(60);
    expect(written.at(-1)).toContain('1.0 steps/s  ETA 0:40');
  });

  it('fits the terminal and clears itself before a line that stays', () => {
    const { progress, written, clock } = setup(true, 100, 40);
    clock.time = 1000;
    progress.update(1, 'x'.repeat(100));
    expect(written.at(-1)!.replace('\r\u001b[2K', '').length).toBeLessThan(40);
    progress.log('saved');
    expect(written.slice(-3, -1)).toEqual(['\r\u001b[2K', 'saved\n']);
    progress.abandon();
    progress.update(2);
    progress.finish();
    expect(written.at(-1)).toBe('\r\u001b[2K');
  });
});

describe('formatDuration', () => {
  it('shows hours only where there are any', () => {
    expect([0, 75, 4000, 359999].map(formatDuration)).toEqual(['0:00', '1:15', '1:06:40', '99:59:59']);
  });
});
